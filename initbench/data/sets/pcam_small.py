"""PCam Small: a few patches of PCam, half of them with tumour tissue, as a task to transfer to.

Harder et al. (2023, arXiv 2310.16695) train on 1,000 patches, validate on 400 and test on 10,000.
Which ones is not recorded. Here each part is drawn from the same part of PCam, so that what was
trained on PCam has seen no patch that tests: within a part, the first patches of each label in one
random order. Ids are those of PCam.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.data.dataset import ImageSplits, SplitName
from initbench.data.sets.pcam import SPLIT_NAMES, PatchDataSet, PatchesConfig
from initbench.data.splits import SPLIT_SEED, balanced_draw
from initbench.errors import UserError

if TYPE_CHECKING:
    import torch


Size = Annotated[int, Field(ge=2, multiple_of=2, description="patches, half of them with tumour")]


class PCamSmallConfig(PatchesConfig):
    """Which patches to draw from, how many for each split, and the seed of the draw."""

    train: Size = 1_000
    validation: Size = 400
    test: Size = 10_000
    seed: Annotated[int, Field(ge=0, lt=2**63, description="of the draw")] = SPLIT_SEED


class PCamSmall(PatchDataSet[PCamSmallConfig]):
    """A balanced draw from each part of PCam."""

    name = "pcam_small"
    summary = "11,400 patches of lymph node tissue, half of them with tumour"
    version = "1"
    Config = PCamSmallConfig

    def split_sizes(self) -> Mapping[SplitName, int]:
        """Return how many patches each split has."""
        return {name: getattr(self.config, name) for name in SPLIT_NAMES}

    def load(self, root: Path | None) -> ImageSplits:
        """Draw the splits and read their patches, cropped.

        Raises UserError where a file is missing, truncated or not what its name says, or holds too
        few patches.
        """
        patches, parts = self.patches(root)
        sizes = self.split_sizes()
        drawn = [
            self._drawn(name, ids, patches.labels[ids], sizes[name])
            for name, ids in zip(SPLIT_NAMES, parts, strict=True)
        ]
        splits, failures = self.read(patches, drawn)
        if failures:
            raise self.cannot_decode(failures, "restore these files, or draw with another `seed`")
        return splits

    def _drawn(
        self, name: SplitName, ids: torch.Tensor, labels: torch.Tensor, size: int
    ) -> torch.Tensor:
        """Return the ids of `size` patches of one part, half of each label."""
        most = self.classes * int(labels.bincount(minlength=self.classes).min())
        if size > most:
            raise UserError(
                f"data set `pcam_small`: expected `{name}` to be {most:,} at most, the patches of "
                f"both labels that its source has in equal number, got {size:,}"
            )
        return ids[balanced_draw(labels, size // self.classes, self.classes, self.config.seed)]
