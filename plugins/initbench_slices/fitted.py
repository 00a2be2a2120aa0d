"""What a local initialiser has learnt, as an artifact holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initbench.api import Artifact, PluginError
from initbench_slices.places import Place

if TYPE_CHECKING:
    from torch import Tensor

Tensors = dict[str, "Tensor"]

FORMAT = 1
"""Of artifacts; bumped when an older one can no longer be read."""


@dataclass(frozen=True)
class Fitted:
    """An artifact, read."""

    trained: Sequence[Place]
    ratios: Sequence[float]
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, method: str, artifact: Artifact | None) -> Fitted:
        """Read an artifact; raise PluginError if it is not one of `method` and this version."""
        if artifact is None:
            raise PluginError(f"`{method}` needs a fitted state, got none")
        description = artifact.description
        found = description.get("method"), description.get("format")
        if found != (method, FORMAT):
            raise PluginError(
                f"`{method}` expected a fitted state of its own in format {FORMAT}, got one of "
                f"`{found[0]}` in format {found[1]}; fit it again"
            )
        return cls(
            [Place.of(tree) for tree in description["layers"]],
            [tree["ratio"] for tree in description["layers"]],
            artifact.tensors,
        )

    def tensors_of(self, kernel: int) -> Tensors:
        start = f"{kernel}."
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }
