"""STL-10: 13,000 labelled photographs of ten classes, as the model zoos use them.

The files are those of the authors' binary archive; its 100,000 unlabelled images are not read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.data.files import DataFile, Download
from initbench.data.formats.refusal import refusal
from initbench.data.sets.zoo_images import Part, ZooImages, ZooImagesConfig, labels_from
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOURCE = "https://ai.stanford.edu/~acoates/stl10/"
FOLDER = "stl10_binary"
ARCHIVE = "stl10_binary.tar.gz"

FILES: Mapping[str, tuple[str, int]] = {
    "train_X.bin": ("md5:918c2871b30a85fa023e0c44e0bee87f", 138_240_000),
    "train_y.bin": ("md5:5a34089d4802c674881badbb80307741", 5_000),
    "test_X.bin": ("md5:7f263ba9f9e0b06b93213547f721ac82", 221_184_000),
    "test_y.bin": ("md5:36f9794fa4beb8a2c72628de14fa638e", 8_000),
}
"""Official digest and bytes of each file."""


class STL10(ZooImages[ZooImagesConfig]):
    """STL-10, split into 4,200 / 800 / 8,000 images."""

    name = "stl10"
    summary = "13,000 colour photographs of 96x96 pixels, ten classes"
    citation = Citation(
        "A. Coates, H. Lee, A. Y. Ng: An Analysis of Single-Layer Networks in Unsupervised Feature "
        "Learning. AISTATS 2011.",
        "https://proceedings.mlr.press/v15/coates11a.html",
    )
    licence = "none stated; the images come from ImageNet: non-commercial research and teaching"
    how_to_get = f"download and unpack {SOURCE}{ARCHIVE}, which makes the folder `{FOLDER}`"
    classes = 10
    channels = 3
    native_size = 96
    version = "1"
    Config = ZooImagesConfig

    sizes = (4_200, 800, 8_000)
    mean = 0.5
    std = 0.5

    def files(self) -> tuple[DataFile, ...]:
        """Return the four files with labelled images."""
        return tuple(
            DataFile(f"{FOLDER}/{name}", (digest,), size) for name, (digest, size) in FILES.items()
        )

    def downloads(self) -> tuple[Download, ...]:
        """Return the archive, which holds the unlabelled images too (2.6 GB)."""
        return (
            Download(
                (SOURCE + ARCHIVE,),
                ARCHIVE,
                "md5:91f7769df0f17e558f3565bffb0c7dfb",
                2_640_397_119,
                unpack="tar",
            ),
        )

    def read(
        self, paths: Mapping[str, Path], part: Part, count: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the images and labels of one pair of files."""
        import numpy as np

        side = self.native_size
        # By image and channel, then column by column.
        columns = _read_bytes(
            paths[f"{FOLDER}/{part}_X.bin"], (count, self.channels, side, side), "images"
        )
        path = paths[f"{FOLDER}/{part}_y.bin"]
        labels = labels_from(_read_bytes(path, (count,), "labels"), range(1, 11), path) - 1
        return np.ascontiguousarray(columns.swapaxes(2, 3)), labels


def _read_bytes(path: Path, shape: tuple[int, ...], what: str) -> NDArray[np.uint8]:
    """Return a file that is nothing but an array of bytes.

    Raises UserError, before it is read, where its size is another one.
    """
    import numpy as np

    expected, size = math.prod(shape), path.stat().st_size
    if size != expected:
        raise refusal(path, f"{shape[0]:,} {what} in {expected:,} bytes", f"{size:,} bytes")
    return np.fromfile(path, np.uint8).reshape(shape)
