"""Hook specifications: how names become objects.

One entry point of the group `initbench` provides one thing and is named `<kind>.<name>`:

    [project.entry-points.initbench]
    "initialiser.warm" = "initbench_warm:Warm"

so that everything installed can be listed from metadata, without importing anything. An entry
named `plugin.<name>` points at a module that implements the hooks below itself, for families of
names that cannot be enumerated (`timm/resnet18`); one named `command.<name>` at a command of the
terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import pluggy

PROJECT = "initbench"
"""The entry-point group and the name of the pluggy project."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Kind(StrEnum):
    """What a plugin can add."""

    INITIALISER = "initialiser"
    MODEL = "model"
    DATASET = "dataset"
    RECIPE = "recipe"
    MEASURE = "measure"


@hookspec
def initbench_names(kind: str) -> Iterable[str]:  # type: ignore[empty-body]
    """Name everything of this kind that can be provided, without importing it."""


@hookspec(firstresult=True)
def initbench_provide(kind: str, name: str) -> Any | None:
    """Provide the thing of this kind and name (a class; for recipes a mapping), or None.

    A name that belongs to a family, but is wrong there, deserves a UserError with the closest
    names: it reaches the user as it is.
    """
