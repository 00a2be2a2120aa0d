"""Benchmarks: how fast initbench is on this machine, beside what people use otherwise."""
