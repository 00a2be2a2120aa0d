"""`python -m initbench`."""

from initbench.cli import main

main()
