"""`initbench doctor`: what is wrong with this machine, and which command repairs it."""

from __future__ import annotations

from pathlib import Path

import click

from initbench.cli.options import results_option
from initbench.cli.terminal import Terminal

_MARKS = {"fine": "ok", "note": "note", "wrong": "WRONG"}


@click.command(
    epilog="""\b
Examples:
  initbench doctor
  initbench doctor --results /scratch/results
"""
)
@results_option
@click.pass_obj
def doctor(terminal: Terminal, results: Path) -> int:
    """Check this machine: Python, torch, devices, data, plugins, results folder, MLflow.

    Ends with exit code 2 when something is wrong.
    """
    from initbench.doctor import examine

    findings = []
    for finding in examine(results):
        findings.append(finding)
        terminal.print_text(f"{_MARKS[finding.state]:6} {finding.subject:15} {finding.what}")
        if finding.repair:
            terminal.print_text(f"{'':6} {'':15} -> {finding.repair}")
    return 2 if any(finding.state == "wrong" for finding in findings) else 0
