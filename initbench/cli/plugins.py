"""`initbench plugins`: what is installed, and what each thing is and wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initbench.cli.terminal import Terminal
from initbench.plugin.hooks import Kind

if TYPE_CHECKING:
    from initbench.plugin.description import Description


@click.group(
    epilog="""\b
Examples:
  initbench plugins list
  initbench plugins show he
"""
)
def plugins() -> None:
    """List installed plugins and describe them.

    INITBENCH_PLUGINS names the distributions to use, separated by commas (default: all).
    """


@plugins.command(
    "list",
    epilog="""\b
Examples:
  initbench plugins list
  initbench plugins list | grep initialiser
""",
)
@click.pass_obj
def list_(terminal: Terminal) -> None:
    """List everything that a suite can name, and commands, with problems.

    Reads metadata only: no plugin is imported, so one that is broken does no harm.
    """
    from initbench.cli import COMMANDS
    from initbench.cli.added import added_commands
    from initbench.plugin.discovery import COMMAND
    from initbench.plugin.registry import Registry

    entries = [entry for entry in Registry.installed().entries() if entry.kind != COMMAND]
    entries = sorted([*entries, *added_commands(COMMANDS)], key=lambda e: (e.kind, e.name))
    terminal.table(
        "",
        ["kind", "name", "distribution", "version", "problem"],
        [[e.kind, e.name, e.distribution, e.version, e.problem or ""] for e in entries],
    )


@plugins.command(
    short_help="Describe one thing and its configuration.",
    epilog="""\b
Examples:
  initbench plugins show he
  initbench plugins show digits --kind dataset
""",
)
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in Kind]),
    help="Which one is meant, where things of several kinds have this name.",
)
@click.pass_obj
def show(terminal: Terminal, name: str, kind: str | None) -> None:
    """Describe one thing: citation, configuration, identity of its code, models it supports."""
    from initbench.plugin.description import describe
    from initbench.plugin.registry import Registry

    registry = Registry.installed()
    description = describe(registry, name, None if kind is None else Kind(kind))
    for text in registry.warnings:
        terminal.warning(text)
    _print(terminal, description)


def _print(terminal: Terminal, description: Description) -> None:
    width = max(map(len, description.facts))
    for label, text in description.facts.items():
        terminal.print_text(f"{label:{width}}  {text}")
    if description.options:
        terminal.table(
            "\nConfiguration",
            ["key", "expected", "default", "meaning"],
            [[x.name, x.expected, x.default, x.description] for x in description.options],
            caption=description.about_options,
        )
    if description.supports:
        terminal.table(
            "\nSupported models",
            ["model", "supported (grey images, 10 classes)"],
            [[model, answer] for model, answer in description.supports.items()],
        )
