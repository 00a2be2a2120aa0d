"""CIFAR-10-C: the test images of CIFAR-10, corrupted in 19 ways at five severities.

Training and validation images are those of CIFAR-10 in the split of Harder et al. (2023); the test
split holds the test images at one severity, corruption after corruption in official order. Which
corruptions that paper pooled is not recorded; the 15 main ones are the default, 150,000 images.

The official files are in the folder `CIFAR-10-C`. Where they are not, files are made from the test
images in the same layout, in a folder of another name, `cifar10c-regen`: the official ones cannot
be made again bit for bit, because their random draws had no seed. Frost needs five photographs of
the original repository (`PHOTOGRAPHS`); without them a drawn texture stands in, until they are
there and `frost.npy` is deleted.

Ids go on from those of CIFAR-10: image i of severity s and corruption c, both counted as in the
files and c from 0, has the id 60,000 + 50,000 c + 10,000 (s - 1) + i.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from initbench.data.dataset import ImageSplits, Remark, Split, SplitName
from initbench.data.files import DataFile, Download, Report
from initbench.data.folder.filed import FileDataSet, FilesConfig, base_folder
from initbench.data.formats.cifar_pickle import read_batch
from initbench.data.formats.refusal import refusal
from initbench.data.sets.cifar10 import CIFAR10, TEST_FILE, CIFAR10Config, read_cifar10
from initbench.errors import UserError
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from initbench.data.corruptions.making import Made

OFFICIAL = "CIFAR-10-C"
MADE = "cifar10c-regen"
PHOTOGRAPHS = tuple(
    f"frost/frost{number}.{kind}"
    for number, kind in enumerate(("png", "png", "png", "jpg", "jpg"), start=1)
)
"""The photographs of frost of the original repository, below the data folder; it never uses its
sixth."""

SOURCE = "https://zenodo.org/records/2535967/files/CIFAR-10-C.tar"
SOURCE_DIGEST = "md5:56bf5dcef84df0e2308c6dcbcbbd8499"
SOURCE_SIZE = 2_918_471_680

Corruption = Literal[
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
]
ALL: tuple[Corruption, ...] = get_args(Corruption)
MAIN, EXTRA = ALL[:15], ALL[15:]

# As listed by several public loaders, which agree (torch-uncertainty among them); the archive's is
# that of its Zenodo record.
DIGESTS: dict[Corruption, str] = {
    "gaussian_noise": "md5:ecaf8b9a2399ffeda7680934c33405fd",
    "shot_noise": "md5:3a7239bb118894f013d9bf1984be7f11",
    "impulse_noise": "md5:2090e01c83519ec51427e65116af6b1a",
    "defocus_blur": "md5:7d1322666342a0702b1957e92f6254bc",
    "glass_blur": "md5:7361fb4019269e02dbf6925f083e8629",
    "motion_blur": "md5:fffa5f852ff7ad299cfe8a7643f090f4",
    "zoom_blur": "md5:6ea8e63f1c5cdee1517533840641641b",
    "snow": "md5:bb238de8555123da9c282dea23bd6e55",
    "frost": "md5:31f6ab3bce1d9934abfb0cc13656f141",
    "fog": "md5:7b397314b5670f825465fbcd1f6e9ccd",
    "brightness": "md5:0a81ef75e0b523c3383219c330a85d48",
    "contrast": "md5:3c8262171c51307f916c30a3308235a8",
    "elastic_transform": "md5:9421657c6cd452429cf6ce96cc412b5f",
    "pixelate": "md5:0f14f7e2db14288304e1de10df16832f",
    "jpeg_compression": "md5:2b9cc4c864e0193bb64db8d7728f8187",
    "speckle_noise": "md5:ef00b87611792b00df09c0b0237a1e30",
    "gaussian_blur": "md5:c33370155bc9b055fb4a89113d3c559d",
    "spatter": "md5:8a5a3903a7f8f65b59501a6093b4311e",
    "saturate": "md5:1cfae0964219c5102abbb883e538cc56",
}
LABELS_DIGEST = "md5:c439b113295ed5254878798ffe28fd54"


class CIFAR10CConfig(FilesConfig):
    """Which corruptions, how strong, and from which files."""

    severity: Annotated[int, Field(ge=1, le=5)] = 5
    corruptions: Literal["main", "all", "extra"] | tuple[Corruption, ...] = "main"
    """The 15 main ones, the four that were meant for validation, all 19, or a list."""
    files: Literal["auto", "official", "made"] = "auto"
    """`auto` takes the official files if those of all corruptions are there."""

    @model_validator(mode="after")
    def _corruptions_are_a_set(self) -> CIFAR10CConfig:
        chosen = self.corruptions
        if isinstance(chosen, tuple) and len(set(chosen)) != max(len(chosen), 1):
            raise ValueError("`corruptions` needs at least one name, and each only once")
        return self


class CIFAR10C(FileDataSet[CIFAR10CConfig]):
    """CIFAR-10 for training and validation, its corrupted test images for testing."""

    name = "cifar10c"
    summary = "CIFAR-10 with test images corrupted in 15 (or 19) ways, at one of five severities"
    citation = Citation(
        "D. Hendrycks and T. Dietterich: Benchmarking Neural Network Robustness to Common "
        "Corruptions and Perturbations. International Conference on Learning Representations, "
        "2019.",
        "https://arxiv.org/abs/1903.12261",
    )
    licence = "CC BY 4.0 (corrupted images); none stated for CIFAR-10"
    how_to_get = (
        f"download {SOURCE} and unpack it, or make the files from those of CIFAR-10 with "
        "`initbench data make cifar10c`"
    )
    classes = 10
    channels = 3
    native_size = 32
    version = "1"
    Config = CIFAR10CConfig

    clean: ClassVar[type[CIFAR10]] = CIFAR10

    @property
    def names(self) -> tuple[Corruption, ...]:
        """The corruptions of this configuration, in official order."""
        chosen = self.config.corruptions
        named = {"main": MAIN, "extra": EXTRA, "all": ALL}
        wanted = named[chosen] if isinstance(chosen, str) else chosen
        return tuple(name for name in ALL if name in wanted)

    def split_sizes(self) -> Mapping[SplitName, int]:
        """Return how many images each split has."""
        sizes = self._clean().split_sizes()
        return {**sizes, "test": len(self.names) * sizes["test"]}

    def parts(self) -> Mapping[str, slice]:
        """Return where each corruption is in the test split."""
        count = self._clean().split_sizes()["test"]
        return {name: slice(count * i, count * (i + 1)) for i, name in enumerate(self.names)}

    def files(self) -> tuple[DataFile, ...]:
        """Return the files of CIFAR-10, and those of the corruptions with their labels."""
        corrupted = (self._file(name, DIGESTS[name]) for name in self.names)
        return (*self._clean().files(), self._file("labels", LABELS_DIGEST), *corrupted)

    def downloads(self) -> tuple[Download, ...]:
        """Return the archives of CIFAR-10 and of the official corrupted images."""
        if self.config.files == "made":
            return self._clean().downloads()
        archive = SOURCE.rpartition("/")[2]
        official = Download(
            (SOURCE,), archive, SOURCE_DIGEST, SOURCE_SIZE, unpack="tar", provides=(OFFICIAL,)
        )
        return (*self._clean().downloads(), official)

    def make(self, root: Path, report: Report) -> None:
        """Make the files of the corruptions that are missing, unless the official ones are used.

        Raises UserError as `make_corrupted` does, and where the test images cannot be read.
        """
        from initbench.data.corruptions.making import make_corrupted

        if self.config.files == "official" or self._may_use(OFFICIAL, root):
            return
        images, labels = self._test_images(root)
        photographs = _photographs(root) if "frost" in self.names else ()
        folder = base_folder(self, root) / MADE
        make_corrupted(images, labels, folder, self.names, report, photographs=photographs)

    def load(self, root: Path | None) -> ImageSplits:
        """Read the splits at native size.

        Raises UserError where a file is missing, truncated or not what its name says.
        """
        import torch

        from initbench.data.corruptions.making import SEVERITIES

        files = self._chosen(root).open_files(root)
        images, labels, test_images, test_labels = read_cifar10(files, self.clean.images_per_file)
        clean = test_images.permute(0, 2, 3, 1).numpy()
        corrupted = _CorruptedFiles(files, clean, test_labels.numpy())
        count = len(test_labels)
        test = torch.empty((len(self.names), *test_images.shape), dtype=torch.uint8)
        first_ids = []
        for position, name in enumerate(self.names):
            pixels = corrupted.read(name, self.config.severity)
            test[position] = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            row = SEVERITIES * count * ALL.index(name) + count * (self.config.severity - 1)
            first_ids.append(len(labels) + count + row)
        train, validation = self._clean().split_ids(labels)
        mean, std = self._clean().normalisation()
        return ImageSplits(
            Split(images[train], labels[train], train),
            Split(images[validation], labels[validation], validation),
            Split(
                test.flatten(0, 1),
                test_labels.repeat(len(self.names)),
                torch.cat([torch.arange(first, first + count) for first in first_ids]),
            ),
            self.classes,
            mean,
            std,
            corrupted.remarks(self.names),
        )

    def examples(
        self, root: Path | None, count: int
    ) -> Iterator[tuple[Corruption, NDArray[np.uint8]]]:
        """Yield each corruption with the first `count` test images in all its severities.

        The array is of shape (6, count, 32, 32, 3); images 0 are as they were.

        Raises UserError as `load` does.
        """
        import numpy as np

        from initbench.data.corruptions.making import SEVERITIES

        chosen = self._chosen(root)
        files = chosen.open_files(root)
        images, labels = chosen._test_images(root)
        corrupted = _CorruptedFiles(files, images, labels)
        for name in self.names:
            variants = [corrupted.read(name, s + 1)[:count] for s in range(SEVERITIES)]
            yield name, np.stack([images[:count], *variants])

    def _clean(self) -> CIFAR10:
        return self.clean(CIFAR10Config(folder=self.config.folder))

    def _file(self, stem: str, digest: str) -> DataFile:
        official = DataFile(f"{OFFICIAL}/{stem}.npy", (digest,))
        made = DataFile(f"{MADE}/{stem}.npy", made=True)
        return {
            "official": official,
            "made": made,
            "auto": replace(official, alternatives=(made,)),
        }[self.config.files]

    def _may_use(self, folder: str, root: Path) -> bool:
        """Tell whether the corrupted images may all come from `folder`."""
        base = base_folder(self, root) / folder
        stems = ("labels", *self.names)
        return self.config.files == "auto" and all((base / f"{x}.npy").is_file() for x in stems)

    def _chosen(self, root: Path | None) -> CIFAR10C:
        """Return this data set with one folder for all corrupted images.

        Where none is complete it is the official one, because that can be downloaded.
        """
        if root is None or self.config.files != "auto":
            return self
        use_made = self._may_use(MADE, root) and not self._may_use(OFFICIAL, root)
        files = "made" if use_made else "official"
        return type(self)(self.config.model_copy(update={"files": files}))

    def _test_images(self, root: Path | None) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the test images (images, 32, 32, 3) and their labels."""
        path = self._clean().open_files(root)[TEST_FILE.path]
        images, labels = read_batch(path, self.clean.images_per_file, self.classes)
        return images.transpose(0, 2, 3, 1), labels


class _CorruptedFiles:
    """The files of corrupted images, official or made, that belong to given test images."""

    def __init__(
        self, files: Mapping[str, Path], images: NDArray[np.uint8], labels: NDArray[np.int64]
    ) -> None:
        import numpy as np

        from initbench.data.corruptions.making import SEVERITIES, digest_of, made_from, not_made

        self._files = {path.stem: path for path in files.values() if path.suffix == ".npy"}
        self._images = len(images)
        self._shape = (SEVERITIES * len(images), *images.shape[1:])
        path = self._files["labels"]
        if not np.array_equal(_mapped(path, self._shape[:1]), np.tile(labels, SEVERITIES)):
            raise refusal(path, f"the labels of the test images, {SEVERITIES} times", "others")
        self._made: Made | None = None
        if path.parent.name == MADE:
            self._made = made_from(path.parent, digest_of(images, labels))
            if self._made is None:
                raise not_made(path)

    def read(self, name: Corruption, severity: int) -> NDArray[np.uint8]:
        """Return the images (images, 32, 32, 3) of one severity."""
        import numpy as np

        path = self._files[name]
        pixels = _mapped(path, self._shape)[(severity - 1) * self._images :][: self._images]
        if self._made is not None:
            self._made.check(path, severity, pixels)
        return np.array(pixels)

    def remarks(self, names: Sequence[Corruption]) -> tuple[Remark, ...]:
        """Return what must be said about images that were made."""
        if self._made is None:
            return ()
        made = Remark(
            "made here",
            "corrupted images were made by initbench from the test images, with other random draws "
            "than the official ones",
        )
        if "frost" not in names or self._made.files["frost"].photographs is not None:
            return (made,)
        return (
            made,
            Remark("substitute", "frost is drawn by a procedure instead of cut from photographs"),
        )


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the uint8 array of `shape` in an `.npy` file, mapped from disk."""
    import numpy as np

    expected = f"an `.npy` file of uint8 {shape}"
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise refusal(path, expected, f"a file that NumPy cannot map ({error})") from error
    if array.dtype != np.uint8 or array.shape != shape:
        raise refusal(path, expected, f"{array.dtype} {array.shape}")
    return array


def _photographs(root: Path) -> tuple[Path, ...]:
    """Return the photographs of frost, or nothing where there is none.

    Raises UserError where only some are there.
    """
    paths = tuple(root / path for path in PHOTOGRAPHS)
    missing = [path for path in paths if not path.is_file()]
    if 0 < len(missing) < len(paths):
        raise UserError(
            f"{missing[0]} is missing: expected all {len(paths)} photographs of frost or none, got "
            f"{len(paths) - len(missing)}; add the others from the original repository, or remove "
            "those that are there"
        )
    return () if missing else paths
