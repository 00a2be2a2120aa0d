"""Hyperfan: initialisers of hypernetworks, as a plugin that uses nothing but `initbench.api`."""
