"""MNIST: 70,000 handwritten digits, as the model zoos use them.

The files are the four of Y. LeCun, C. Cortes and C. Burges, gzipped as they were published or
unpacked. Their digests are torchvision's; those of the content belong to the same files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.data.files import DataFile, Download
from initbench.data.formats.idx import read_idx
from initbench.data.sets.zoo_images import Part, ZooImages, ZooImagesConfig, labels_from
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FOLDER = "MNIST/raw"

FINGERPRINT = "a051c3310b311ce2d8b22e026017f08b75415b235e5825e1a428a63e5fc48e81"


@dataclass(frozen=True)
class _Official:
    """One of the four official files."""

    stem: str  # `train-images`
    kind: str  # `idx3-ubyte`
    md5: str  # of the gzip file
    packed: int  # bytes of the gzip file
    sha256: str  # of what it holds
    unpacked: int  # bytes of what it holds

    @property
    def name(self) -> str:
        return f"{self.stem}-{self.kind}.gz"

    @property
    def path(self) -> str:
        return f"{FOLDER}/{self.name}"

    def file(self) -> DataFile:
        """Declare it as published, and unpacked; some programs write a dot for a hyphen."""
        gzipped = (f"md5:{self.md5}", f"gzip+sha256:{self.sha256}")
        plain = (f"sha256:{self.sha256}",)
        dotted = f"{FOLDER}/{self.stem}.{self.kind}"
        return DataFile(
            self.path,
            gzipped,
            self.packed,
            alternatives=(
                DataFile(self.path.removesuffix(".gz"), plain, self.unpacked),
                DataFile(f"{dotted}.gz", gzipped, self.packed),
                DataFile(dotted, plain, self.unpacked),
            ),
        )

    def download(self) -> Download:
        return Download(
            tuple(mirror + self.name for mirror in MIRRORS),
            self.path,
            f"md5:{self.md5}",
            self.packed,
        )


IMAGES: dict[Part, _Official] = {
    "train": _Official(
        "train-images",
        "idx3-ubyte",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        9_912_422,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        47_040_016,
    ),
    "test": _Official(
        "t10k-images",
        "idx3-ubyte",
        "9fb629c4189551a2d022fa330f9573f3",
        1_648_877,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        7_840_016,
    ),
}
LABELS: dict[Part, _Official] = {
    "train": _Official(
        "train-labels",
        "idx1-ubyte",
        "d53e105ee54ea40749a09fcbcd1e9432",
        28_881,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        60_008,
    ),
    "test": _Official(
        "t10k-labels",
        "idx1-ubyte",
        "ec29112dd5afa0611ce80d1b7f02629c",
        4_542,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        10_008,
    ),
}


class MNIST(ZooImages[ZooImagesConfig]):
    """MNIST, split into 50,000 / 10,000 / 10,000 images."""

    name = "mnist"
    summary = "70,000 grey handwritten digits of 28x28 pixels"
    citation = Citation(
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-Based Learning Applied to Document "
        "Recognition. Proceedings of the IEEE 86(11), 1998.",
        "https://doi.org/10.1109/5.726791",
    )
    licence = "none stated by its authors"
    how_to_get = f"download the four `.gz` files from {MIRRORS[0]} into `{FOLDER}`"
    classes = 10
    channels = 1
    native_size = 28
    version = "1"
    Config = ZooImagesConfig

    sizes = (50_000, 10_000, 10_000)
    mean = 0.1307
    std = 0.3081

    def pinned_fingerprint(self) -> str | None:
        """Return the digest of the splits of the official files in their usual place."""
        return FINGERPRINT if self.config == ZooImagesConfig() else None

    def files(self) -> tuple[DataFile, ...]:
        """Return the four official files, gzipped or not."""
        return tuple(official.file() for official in (*IMAGES.values(), *LABELS.values()))

    def downloads(self) -> tuple[Download, ...]:
        """Return the four gzip files."""
        return tuple(official.download() for official in (*IMAGES.values(), *LABELS.values()))

    def read(
        self, paths: Mapping[str, Path], part: Part, count: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the images and labels of one pair of files."""
        side = self.native_size
        images = read_idx(paths[IMAGES[part].path], (count, side, side))
        path = paths[LABELS[part].path]
        return images[:, None], labels_from(read_idx(path, (count,)), range(10), path)
