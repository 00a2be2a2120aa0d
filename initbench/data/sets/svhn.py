"""SVHN: house numbers cropped to one digit each, as the model zoos use them.

The files are the two MATLAB files of the "cropped digits" format. For the zoos, images are
made grey and their central 28x28 pixels taken; `channels: rgb` leaves them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.data.files import DataFile, Download
from initbench.data.formats.refusal import refusal
from initbench.data.sets.zoo_images import Part, ZooImages, ZooImagesConfig, labels_from
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOURCE = "https://ufldl.stanford.edu/housenumbers/"
SIDE = 32  # pixels of an image in the files
CROP = 28

FILES: dict[Part, tuple[str, str, int]] = {
    "train": ("train_32x32.mat", "md5:e26dedcc434d2e4c54c9b2d4a06d8373", 182_040_794),
    "test": ("test_32x32.mat", "md5:eb5a983be6a315427106f1b164d9cef3", 64_275_384),
}
"""Name, official digest and bytes of each file."""

_CHUNK = 8192  # images at a time, because sums of channels take four bytes


class SVHNConfig(ZooImagesConfig):
    """Where the files are, which published split to use, and what is made of the images."""

    channels: Annotated[
        Literal["grey", "rgb"],
        Field(description="one channel and the central 28x28 pixels, or three channels and all"),
    ] = "grey"


class SVHN(ZooImages[SVHNConfig]):
    """SVHN, split into 60,000 / 13,257 / 26,032 images."""

    name = "svhn"
    summary = "99,289 digits of house numbers, grey 28x28 or colour 32x32 pixels"
    citation = Citation(
        "Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng: Reading Digits in Natural "
        "Images with Unsupervised Feature Learning. NIPS Workshop on Deep Learning, 2011.",
        "https://ufldl.stanford.edu/housenumbers/nips2011_housenumbers.pdf",
    )
    licence = "for non-commercial use only"
    how_to_get = f"download `train_32x32.mat` and `test_32x32.mat` from {SOURCE} into `svhn`"
    classes = 10
    channels = 1
    native_size = CROP
    version = "1"
    Config = SVHNConfig

    sizes = (60_000, 13_257, 26_032)
    mean = 0.5
    std = 0.5

    def __init__(self, config: SVHNConfig) -> None:
        super().__init__(config)
        if config.channels == "rgb":
            self.channels = 3
            self.native_size = SIDE

    def files(self) -> tuple[DataFile, ...]:
        """Return the two files, in a folder `svhn` or beside it."""
        return tuple(
            DataFile(
                f"svhn/{name}", (digest,), size, alternatives=(DataFile(name, (digest,), size),)
            )
            for name, digest, size in FILES.values()
        )

    def downloads(self) -> tuple[Download, ...]:
        """Return the two files of the authors' page."""
        return tuple(
            Download((SOURCE + name,), f"svhn/{name}", digest, size)
            for name, digest, size in FILES.values()
        )

    def read(
        self, paths: Mapping[str, Path], part: Part, count: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the images and labels of one file."""
        import numpy as np

        path = paths[f"svhn/{FILES[part][0]}"]
        images, digits = _read_mat(path, count)
        labels = labels_from(digits, range(1, 11), path) % 10  # the file calls the digit 0 ten
        if self.config.channels == "grey":
            return _grey(_central(images)), labels
        return np.ascontiguousarray(images), labels


def _read_mat(path: Path, count: int) -> tuple[NDArray[np.uint8], NDArray[np.generic]]:
    """Return images (images, 3, 32, 32) and labels (images,) of a MATLAB file of version 5.

    Raises UserError where it is another file, or holds other variables, types or sizes.
    """
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import matfile_version

    # Of a damaged file, SciPy may raise anything, down to errors of its own indexing.
    try:
        version, _ = matfile_version(path)
        variables = whosmat(path) if version == 1 else []
    except Exception as error:
        raise refusal(path, "a MATLAB file of version 5", f"the error `{error}`") from None
    if version != 1:
        raise refusal(path, "a MATLAB file of version 5", "one of another version")
    _check_variable(path, variables, "X", (SIDE, SIDE, 3, count), ("uint8",))
    _check_variable(path, variables, "y", (count, 1), ("uint8", "double"))
    try:
        content = loadmat(path, variable_names=["X", "y"])
    except Exception as error:
        raise refusal(path, "a whole MATLAB file", f"the error `{error}`") from None
    return content["X"].transpose(3, 2, 0, 1), content["y"][:, 0]


def _check_variable(
    path: Path,
    variables: Iterable[tuple[str, tuple[int, ...], str]],
    name: str,
    shape: tuple[int, ...],
    kinds: tuple[str, ...],
) -> None:
    """Refuse a variable by its header, before memory is taken for it."""
    found = [(size, kind) for variable, size, kind in variables if variable == name]
    if len(found) != 1 or found[0][0] != shape or found[0][1] not in kinds:
        raise refusal(
            path,
            f"one variable `{name}`, {' or '.join(kinds)} of shape {shape}",
            ", ".join(f"{kind} of shape {size}" for size, kind in found) or "none",
        )


def _central(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    border = (SIDE - CROP) // 2
    return images[..., border : border + CROP, border : border + CROP]


def _grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the luma of rgb images (images, 3, height, width) as (images, 1, height, width).

    ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, in the fixed-point arithmetic of Pillow's
    `convert("L")`, which the authors' scripts call.
    """
    import numpy as np

    grey = np.empty((len(images), 1, *images.shape[2:]), np.uint8)
    for start in range(0, len(images), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        red, green, blue = (images[chunk, channel].astype(np.uint32) for channel in range(3))
        grey[chunk, 0] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    return grey
