"""The data set contract: images, labels and splits that are the same for everybody."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Literal

from initbench.plugin.initialiser import API_VERSION, Citation, Config, ConfigT

if TYPE_CHECKING:
    import torch

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Split:
    """One split: images as bytes, so that a whole data set fits on the device."""

    images: torch.Tensor  # (images, channels, height, width), uint8
    labels: torch.Tensor  # (images,), int64
    ids: torch.Tensor  # (images,), int64: positions in the official order, counted across files

    def __len__(self) -> int:
        return int(self.labels.shape[0])


@dataclass(frozen=True)
class ImageSplits:
    """A loaded data set: three disjoint splits and the normalisation of its pixels.

    A network sees `(image / 255 - mean) / std`, by channel.
    """

    train: Split
    validation: Split
    test: Split
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def items(self) -> Iterator[tuple[SplitName, Split]]:
        yield "train", self.train
        yield "validation", self.validation
        yield "test", self.test

    @property
    def channels(self) -> int:
        return int(self.train.images.shape[1])

    @property
    def image_size(self) -> int:
        return int(self.train.images.shape[-1])


class DataSet(ABC, Generic[ConfigT]):
    """A named data set; an instance is one configured variant (split, subset, size)."""

    name: ClassVar[str]
    summary: ClassVar[str]
    citation: ClassVar[Citation]
    licence: ClassVar[str]
    classes: ClassVar[int]
    channels: ClassVar[int]
    native_size: ClassVar[int]
    version: ClassVar[str | None] = None
    """Bump it when the splits or pixels for a configuration change."""
    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def pinned_fingerprint(self) -> str | None:
        """Return the known digest of the splits, or None to have it computed from the files."""
        return None

    @abstractmethod
    def load(self, root: Path | None) -> ImageSplits:
        """Read the splits at native size; `root` is the data folder (INITBENCH_DATA), if any."""
