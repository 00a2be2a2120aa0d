"""USPS: 9,298 handwritten digits from envelopes, as the model zoos use them.

The files are the two that the LIBSVM page distributes and torchvision reads. Copies of USPS differ
in how many decimals their values have, so a level may differ by one between copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.data.files import DataFile, Download
from initbench.data.formats.libsvm import read_libsvm_bz2
from initbench.data.formats.refusal import refusal
from initbench.data.sets.zoo_images import Part, ZooImages, ZooImagesConfig, labels_from
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOURCE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"

FILES: dict[Part, tuple[str, str]] = {
    "train": ("usps.bz2", "md5:ec16c51db3855ca6c91edd34d0e9b197"),
    "test": ("usps.t.bz2", "md5:8ea070ee2aca1ac39742fdd1ef5ed118"),
}
"""Name and official digest of each file."""


class USPS(ZooImages[ZooImagesConfig]):
    """USPS, split into 6,000 / 1,291 / 2,007 images."""

    name = "usps"
    summary = "9,298 grey handwritten digits of 16x16 pixels from envelopes"
    citation = Citation(
        "J. J. Hull: A Database for Handwritten Text Recognition Research. "
        "IEEE Transactions on Pattern Analysis and Machine Intelligence 16(5), 1994.",
        "https://doi.org/10.1109/34.291440",
    )
    licence = "none stated"
    how_to_get = f"download `usps.bz2` and `usps.t.bz2` from {SOURCE} into `usps`"
    classes = 10
    channels = 1
    native_size = 16
    version = "1"
    Config = ZooImagesConfig

    sizes = (6_000, 1_291, 2_007)
    mean = 0.1307
    std = 0.3081

    def files(self) -> tuple[DataFile, ...]:
        """Return the two files, in a folder `usps` or beside it."""
        return tuple(
            DataFile(f"usps/{name}", (digest,), alternatives=(DataFile(name, (digest,)),))
            for name, digest in FILES.values()
        )

    def downloads(self) -> tuple[Download, ...]:
        """Return the two files of the LIBSVM page."""
        return tuple(
            Download((SOURCE + name,), f"usps/{name}", digest) for name, digest in FILES.values()
        )

    def read(
        self, paths: Mapping[str, Path], part: Part, count: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the images and labels of one file."""
        path = paths[f"usps/{FILES[part][0]}"]
        labels, values = read_libsvm_bz2(path, count, self.native_size**2)
        images = _levels(values, path).reshape(count, 1, self.native_size, self.native_size)
        return images, labels_from(labels, range(1, 11), path) - 1


def _levels(values: NDArray[np.float64], path: Path) -> NDArray[np.uint8]:
    """Return values in -1..1 as levels 0..255, rounded down after single-precision arithmetic.

    These are the operations of torchvision, on which the last level depends.
    """
    import numpy as np

    wrong = abs(values) > 1
    if wrong.any():
        line, pixel = np.unravel_index(wrong.argmax(), wrong.shape)
        raise refusal(path, "values in -1..1", f"{values[line, pixel]} in line {line + 1:,}")
    single = values.astype(np.float32)
    return ((single + 1) / 2 * 255).astype(np.uint8)
