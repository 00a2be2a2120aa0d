"""Zoos: populations of trained networks, made, looked at, handed on and taken in."""
