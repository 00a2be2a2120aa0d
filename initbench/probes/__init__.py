"""Probes: what is looked at on trained networks, beyond their records."""
