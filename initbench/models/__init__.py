"""Architectures, and what initialisers ask of them."""
