"""PCam: patches of lymph node tissue, does the centre hold tumour tissue or not?

There are two sources, with patches of the same slides:

* `kaggle`, what Harder et al. (2023, arXiv 2310.16695) trained on: the 220,025 labelled patches of
  Kaggle's competition, which has no duplicates. They are split at random, seed 42: in the
  authors' code into 153,600 / 25,000 / 41,425 (`fidelity: code`), in their paper into 70 / 10 /
  20 % (`fidelity: paper`). Ids count the names of the patches in alphabetic order. The authors'
  loader took the order in which their folder happened to be listed, so nobody else can have their
  very split.
* `h5`, the official benchmark of Veeling et al. (2018): files with 262,144 / 32,768 / 32,768
  patches, used as they are. Ids count training, then validation, then test patches.

The authors' scripts cut the central 32x32 pixels out, which is what the label is about; `crop: 96`
leaves the patches whole. Pixels are not normalised.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar, get_args

from pydantic import Field, model_validator

from initbench.data.dataset import ImageSplits, Remark, Split, SplitName
from initbench.data.files import DataFile, Download
from initbench.data.folder.filed import FileDataSet, FilesConfig
from initbench.data.formats.pcam_files import (
    CLASSES,
    SIDE,
    H5Patches,
    KagglePatches,
    Patches,
    named,
)
from initbench.data.memory import available_bytes, check_preparing, preparing_bytes
from initbench.data.splits import random_split
from initbench.errors import UserError
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import torch

Fidelity = Literal["code", "paper"]
SPLIT_NAMES: tuple[SplitName, ...] = get_args(SplitName)

KAGGLE = "histopathologic-cancer-detection"
KAGGLE_TABLE = DataFile(f"{KAGGLE}/train_labels.csv")
KAGGLE_FOLDER = DataFile(f"{KAGGLE}/train")
KAGGLE_COUNTS = (130_908, 89_117)  # with label 0, with label 1
KAGGLE_SPLITS: Mapping[Fidelity, tuple[int, int, int]] = {
    "code": (153_600, 25_000, 41_425),
    "paper": (154_017, 22_002, 44_006),
}

ZENODO = "https://zenodo.org/records/2546921/files/"
H5_DIGESTS: Mapping[str, tuple[str, str]] = {
    "train": ("1571f514728f59376b705fc836ff4b63", "35c2d7259d906cfc8143347bb8e05be7"),
    "valid": ("d5b63470df7cfa627aeec8b9dc0c066e", "2b85f58b927af9964a4c15b8f7e8f179"),
    "test": ("d8c2d60d490dbd479f8199bdfa0cf6ec", "60a7035772fbdb7f34eb86d4420cf66a"),
}
"""Official MD5 of the gzip file of the patches, and of that of their labels."""


class PatchesConfig(FilesConfig):
    """Which patches to use, and how much of each."""

    source: Annotated[
        Literal["kaggle", "h5"],
        Field(description="the folder of Kaggle's competition or the official HDF5 files"),
    ] = "kaggle"
    fidelity: Annotated[
        Fidelity, Field(description="to the code or to the paper, in the sizes of Kaggle's splits")
    ] = "code"
    crop: Annotated[
        int,
        Field(ge=2, le=SIDE, multiple_of=2, description="pixels of the centre that is cut out"),
    ] = 32

    @model_validator(mode="after")
    def _only_for_kaggle(self) -> PatchesConfig:
        if self.source == "h5" and self.fidelity != "code":
            raise ValueError("`fidelity` is for `source: kaggle` only: leave it out")
        return self


PatchesConfigT = TypeVar("PatchesConfigT", bound=PatchesConfig)


class PatchDataSet(FileDataSet[PatchesConfigT]):
    """A data set of patches from one of PCam's two sources."""

    citation = Citation(
        "B. S. Veeling, J. Linmans, J. Winkens, T. Cohen, M. Welling: Rotation Equivariant CNNs "
        "for Digital Pathology. MICCAI, 2018.",
        "https://arxiv.org/abs/1806.03962",
    )
    licence = "CC0 1.0"
    how_to_get = (
        f"join the competition at https://www.kaggle.com/c/{KAGGLE} (this needs an account), "
        f"`kaggle competitions download -c {KAGGLE}`, and unpack the archive into `{KAGGLE}`; or "
        "use `source: h5`, which can be fetched"
    )
    classes = CLASSES
    channels = 3
    native_size = 32

    kaggle_counts: ClassVar[tuple[int, int]] = KAGGLE_COUNTS
    kaggle_splits: ClassVar[Mapping[Fidelity, tuple[int, int, int]]] = KAGGLE_SPLITS

    def __init__(self, config: PatchesConfigT) -> None:
        super().__init__(config)
        self.native_size = config.crop

    def files(self) -> tuple[DataFile, ...]:
        """Return Kaggle's table and folder, or the six official files."""
        if self.config.source == "kaggle":
            return KAGGLE_TABLE, KAGGLE_FOLDER
        return tuple(DataFile(path) for path, _ in _h5_files())

    def downloads(self) -> tuple[Download, ...]:
        """Return the six official files; Kaggle wants an account."""
        if self.config.source == "kaggle":
            return ()
        return tuple(
            Download(
                (f"{ZENODO}{path.rpartition('/')[2]}.gz?download=1",),
                f"{path}.gz",
                f"md5:{digest}",
                unpack="gzip",
                into="pcam",
            )
            for path, digest in _h5_files()
        )

    def patches(self, root: Path | None) -> tuple[Patches, tuple[torch.Tensor, ...]]:
        """Return all patches, and the ids (int64) of those that train, validate and test.

        Raises UserError where a file is missing or not what its name says.
        """
        files = self.open_files(root)
        if self.config.source == "h5":
            paths = [files[path] for path, _ in _h5_files()]
            official = H5Patches(list(zip(paths[::2], paths[1::2], strict=True)))
            return official, official.parts
        table, folder = files[KAGGLE_TABLE.path], files[KAGGLE_FOLDER.path]
        patches = KagglePatches(table, folder, self.kaggle_counts)
        sizes = self.kaggle_splits[self.config.fidelity]
        return patches, random_split(len(patches.labels), sizes)

    def read(
        self, patches: Patches, parts: Sequence[torch.Tensor]
    ) -> tuple[ImageSplits, list[str]]:
        """Return the patches of `parts` as splits, and which would not decode and are left out.

        Raises UserError where the memory does not suffice.
        """
        sizes = dict(zip(SPLIT_NAMES, map(len, parts), strict=True))
        side = self.native_size
        needed = preparing_bytes(sizes, self.channels, side, side)
        check_preparing(self.name, needed, available_bytes("cpu"))
        failures: list[str] = []

        def split(ids: torch.Tensor) -> Split:
            images, failed = patches.read(ids, side)
            failures.extend(failed.values())
            whole = Split(images, patches.labels[ids], ids)
            return _without(whole, failed) if failed else whole

        train, validation, test = map(split, parts)
        mean, std = (0.0,) * self.channels, (1.0,) * self.channels
        return ImageSplits(train, validation, test, self.classes, mean, std), failures

    def cannot_decode(self, failures: Sequence[str], remedy: str) -> UserError:
        """Build the error for patches that would not decode."""
        return UserError(
            f"data set `{self.name}`: expected images that decode, got {named(failures)}; {remedy}"
        )


class PCamConfig(PatchesConfig):
    """Which patches to use, how much of each, and what to do about damaged files."""

    undecodable: Annotated[
        Literal["stop", "skip"], Field(description="or leave out, patches that will not decode")
    ] = "stop"

    @model_validator(mode="after")
    def _only_files_of_their_own(self) -> PCamConfig:
        if self.source == "h5" and self.undecodable != "stop":
            raise ValueError("`undecodable` is for `source: kaggle` only: leave it out")
        return self


class PCam(PatchDataSet[PCamConfig]):
    """All patches of one source."""

    name = "pcam"
    summary = "220,025 patches of lymph node tissue, with or without tumour"
    version = "1"
    Config = PCamConfig

    def split_sizes(self) -> Mapping[SplitName, int] | None:
        """Return how many patches each split has, or None where only the files can tell."""
        if self.config.source == "h5" or self.config.undecodable == "skip":
            return None
        return dict(zip(SPLIT_NAMES, self.kaggle_splits[self.config.fidelity], strict=True))

    def load(self, root: Path | None) -> ImageSplits:
        """Read the splits, cropped.

        Raises UserError where a file is missing, truncated or not what its name says.
        """
        patches, parts = self.patches(root)
        splits, failures = self.read(patches, parts)
        if not failures:
            return splits
        if self.config.undecodable == "stop":
            remedy = "restore these files, or leave them out with `undecodable: skip`"
            raise self.cannot_decode(failures, remedy)
        reason = f"images that would not decode were left out, {named(failures)}"
        return replace(splits, remarks=(Remark("incomplete data", reason),))


def _without(split: Split, rows: Container[int]) -> Split:
    import torch

    kept = [row for row in range(len(split)) if row not in rows]
    chosen = torch.tensor(kept, dtype=torch.int64)
    return Split(split.images[chosen], split.labels[chosen], split.ids[chosen])


def _h5_files() -> Iterator[tuple[str, str]]:
    """Yield path and digest of each official file: by split, the patches and then their labels."""
    for split, digests in H5_DIGESTS.items():
        for content, digest in zip("xy", digests, strict=True):
            yield f"pcam/camelyonpatch_level_2_split_{split}_{content}.h5", digest
