"""Initialisers and everything else that plugins add: contracts, discovery, checked use."""
