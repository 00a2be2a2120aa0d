"""Commands that plugins add: entry points `command.<name>`, each a command made with click."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from initbench.errors import PluginError

if TYPE_CHECKING:
    from initbench.plugin.discovery import Entry


def added_commands(own: Iterable[str]) -> list[Entry]:
    """Return what plugins add, from metadata alone.

    Where one has the name of one of our `own`, that one is meant, and the other has a problem.
    """
    from initbench.plugin.discovery import COMMAND, discover

    taken = set(own)
    return [
        replace(entry, problem=entry.problem or "initbench has a command of this name")
        if entry.name in taken
        else entry
        for entry in discover()
        if entry.kind == COMMAND
    ]


def loaded(entry: Entry) -> click.Command:
    """Import a command.

    Raises PluginError, which names the distribution, if that fails or gives anything else.
    """
    from initbench.plugin.guard import contained
    from initbench.plugin.registry import imported

    advice = f"upgrade {entry.distribution}, or uninstall it"
    if entry.problem is not None:
        raise PluginError(f"{entry.title}: {entry.problem}")
    command = contained(lambda: imported(entry.target)).result(entry.title, advice)
    if not isinstance(command, click.Command):
        kind = type(command).__name__
        raise PluginError(f"{entry.title} is no command of click, but of type {kind}; {advice}")
    return command
