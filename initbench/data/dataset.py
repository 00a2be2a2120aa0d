"""The data set contract: images, labels and splits that are the same for everybody."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, Protocol

from initbench.data.files import DataFile, Download, Report
from initbench.plugin.initialiser import API_VERSION, Citation, Config, ConfigT

if TYPE_CHECKING:
    import torch

SplitName = Literal["train", "validation", "test"]
Task = Literal["classification", "regression"]


class Images(Protocol):
    """Images as bytes, (images, channels, height, width): a tensor, or `ImageFiles`.

    What a regression predicts from comes in the same form, as real numbers. Image files are decoded
    whenever they are looked at; for data sets that memory cannot hold.
    """

    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def dtype(self) -> torch.dtype: ...
    def __len__(self) -> int: ...
    def __getitem__(self, indices: torch.Tensor | slice, /) -> torch.Tensor: ...


@dataclass(frozen=True)
class Split:
    """One split: images as bytes, so that a whole data set fits on the device."""

    images: Images  # (images, channels, height, width), uint8; of a regression float32
    labels: torch.Tensor  # (images,), int64; of a regression (images, numbers), float32
    ids: torch.Tensor  # (images,), int64: positions in the official order, counted across files

    def __len__(self) -> int:
        return int(self.labels.shape[0])


@dataclass(frozen=True)
class Remark:
    """What a reader must know about the images behind a number."""

    mark: str
    """A few words that stand beside the number: `unofficial data`, `made here`."""
    reason: str
    """One clause that explains the mark."""

    def __str__(self) -> str:
        return f"{self.mark}: {self.reason}"


@dataclass(frozen=True)
class ImageSplits:
    """A loaded data set: three disjoint splits and the normalisation of its pixels.

    A network sees `(image / 255 - mean) / std`, by channel; real numbers are not divided by 255.
    """

    train: Split
    validation: Split
    test: Split
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    remarks: tuple[Remark, ...] = ()
    """Not part of the fingerprint: they change no number."""

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
    classes: int
    channels: int
    native_size: int
    """Height and width in pixels. These three are what the default configuration has; an instance
    may have its own. A regression has as many `classes` as it predicts numbers."""
    task: ClassVar[Task] = "classification"
    tasks: ClassVar[int] = 1
    """How many tasks of equal size follow each other in every split. Where there are several, the
    last channel of each input is the number of its task, from 0."""
    how_to_get: ClassVar[str] = ""
    """What to do where no download is possible: one sentence with an address."""
    streamed: ClassVar[bool] = False
    """Whether images stay in files and are decoded while training: memory need not hold them."""
    version: ClassVar[str | None] = None
    """Bump it when the splits or pixels for a configuration change."""
    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def pinned_fingerprint(self) -> str | None:
        """Return the known digest of the splits, or None to have it computed from the files."""
        return None

    def split_sizes(self) -> Mapping[SplitName, int] | None:
        """Return how many images each split has, or None where only the files can tell.

        Memory is reported, and a data set too large for it refused, before anything is loaded.
        """
        return None

    def parts(self) -> Mapping[str, slice]:
        """Return named parts of the test split, such as the corruptions of CIFAR-10-C."""
        return {}

    def files(self) -> tuple[DataFile, ...]:
        """Return what `load` reads below the data folder."""
        return ()

    def downloads(self) -> tuple[Download, ...]:
        """Return the downloads that provide the files, where no account is needed for them."""
        return ()

    def make(self, root: Path, report: Report) -> None:
        """Make files that are missing, from others that are there; called before `load`.

        What is there already is left alone, what was interrupted is continued.
        """
        return

    @abstractmethod
    def load(self, root: Path | None) -> ImageSplits:
        """Read the splits at native size; `root` is the data folder (INITBENCH_DATA), if any.

        Raises:
            UserError: a file is missing, truncated or not what its name says.
        """
