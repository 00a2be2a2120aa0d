"""Image files: images that stay on disk and are decoded whenever they are looked at.

For data sets that memory cannot hold. Images are decoded by Pillow, as by nearly everybody, to RGB:
grey and CMYK files and PNGs behind a JPEG's name, all of which ImageNet has, come out as colours.
The orientation that a camera noted is ignored, and JPEGs are always decoded at full size and scaled
afterwards: the faster decoding at a half or a quarter (Pillow's draft mode) gives other pixels.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from initbench.data.files import Report, silent
from initbench.data.resize import resize
from initbench.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

_FORMATS = ("JPEG", "PNG")
_MOST_PIXELS = 100_000_000  # of a scaled image: one of 1 x 10,000 pixels would become huge
_TOGETHER = 8  # images that a thread decodes before it looks for more work
_LOOKED_AT_TOGETHER = 2_000  # images between two reports of how far it has come
_NAMES_TOGETHER = 10_000  # names that are Python objects at the same time


class UndecodableError(UserError):
    """An image file whose content is no image; the message names it."""


@dataclass(frozen=True)
class View:
    """What is seen of a photograph: a square from its middle.

    The shorter side is brought to `shorter` pixels with Pillow's bilinear filter, which averages
    where it shrinks (antialiasing), the longer one in proportion, rounded down; then the middle
    `crop` x `crop` pixels are cut out. Without `shorter` an image must have that size already.
    With `size` the square is resized as every data set is (`initbench.data.resize`).
    """

    crop: int
    shorter: int | None = None
    size: int | None = None

    @property
    def pixels(self) -> int:
        """Height and width of what is seen."""
        return self.size or self.crop


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images in files; indexing decodes those asked for into a tensor, with all CPU cores.

    Names are kept as an array of bytes: 1.3 million take 40 MB, as Python strings 120 MB.
    """

    root: Path
    folder: str
    """Below `root`, with `/` on every platform."""
    names: NDArray[np.bytes_]  # (images,), below `folder`
    sizes: NDArray[np.int64]  # (images,), bytes of each file
    view: View

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), 3, self.view.pixels, self.view.pixels))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, indices: torch.Tensor | slice) -> torch.Tensor:
        """Return the images at `indices` (int64) or of a slice, decoded: uint8.

        Raises UndecodableError for the first that is no image, UserError where a file is missing or
        has changed.
        """
        wanted = range(len(self))[indices] if isinstance(indices, slice) else indices.tolist()
        with decoders() as pool:
            return Decoding(self, wanted, pool).images()

    def at_size(self, size: int) -> ImageFiles:
        """Return the same images, resized to `size` x `size` pixels when they are looked at."""
        other = None if size == self.view.crop else size
        return replace(self, view=replace(self.view, size=other))

    def take(self, positions: torch.Tensor) -> ImageFiles:
        """Return the files at `positions` (int64)."""
        chosen = positions.numpy()
        return replace(self, names=self.names[chosen], sizes=self.sizes[chosen])

    def identity(self) -> Iterator[bytes]:
        """Yield what tells these images from others, without decoding them.

        It does not depend on where the folder is, nor on how wide the array of names is.
        """
        yield json.dumps(asdict(self.view), sort_keys=True).encode()
        yield from self.listing()

    def listing(self) -> Iterator[bytes]:
        """Yield names and sizes as bytes that are the same on every platform."""
        for start in range(0, len(self), _NAMES_TOGETHER):
            yield b"".join(name + b"\0" for name in self.names[start : start + _NAMES_TOGETHER])
        yield self.sizes.astype("<i8", copy=False).tobytes()

    def undecodable(self, report: Report = silent) -> Iterator[int]:
        """Yield the position of each image that will not decode; raises as indexing otherwise."""
        with decoders() as pool:
            for start in range(0, len(self), _LOOKED_AT_TOGETHER):
                part = range(start, min(start + _LOOKED_AT_TOGETHER, len(self)))
                decodes = pool.map(self._decodes, part)
                yield from (i for i, good in zip(part, decodes, strict=True) if not good)
                report(f"decoding {self.folder}", part.stop, len(self))

    def _decodes(self, position: int) -> bool:
        try:
            self.decode(position)
        except UndecodableError:
            return False
        return True

    def to_tensors(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return what finds these images again below a data folder: tensors and plain JSON."""
        names = np.ascontiguousarray(self.names)
        letters = names.view(np.uint8).reshape(len(names), names.itemsize)  # padded with zeros
        tensors = {"names": torch.from_numpy(letters), "sizes": torch.from_numpy(self.sizes)}
        return tensors, {"folder": self.folder, "view": asdict(self.view)}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, torch.Tensor], description: Mapping[str, Any], root: Path
    ) -> ImageFiles:
        """Return the images that `to_tensors` described, below `root`."""
        letters = tensors["names"].numpy()
        return cls(
            root=root,
            folder=description["folder"],
            names=letters.view(f"S{letters.shape[1]}")[:, 0],
            sizes=tensors["sizes"].numpy(),
            view=View(**description["view"]),
        )

    def path(self, position: int) -> Path:
        """Return where the image at `position` lies."""
        return self.root / self.folder / os.fsdecode(self.names[position])

    def decode(self, position: int) -> NDArray[np.uint8]:
        """Return one image: (3, height, width)."""
        path = self.path(position)
        image = _seen(read(path, int(self.sizes[position])), self.view, path)
        pixels = np.asarray(image).transpose(2, 0, 1)
        if self.view.size is None:
            return pixels
        return resize(torch.from_numpy(pixels.copy())[None], self.view.size)[0].numpy()


class Decoding:
    """Images that are being decoded by the threads of a pool."""

    def __init__(
        self,
        files: ImageFiles,
        positions: Sequence[int],
        pool: ThreadPoolExecutor,
        *,
        pinned: bool = False,
    ) -> None:
        shape = (len(positions), *files.shape[1:])
        self._images = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
        slots = self._images.numpy()
        self._parts: list[Future[None]] = [
            pool.submit(_decode, files, positions[part], slots[part])
            for part in (slice(i, i + _TOGETHER) for i in range(0, len(positions), _TOGETHER))
        ]

    def images(self) -> torch.Tensor:
        """Wait for the images and return them; raises what the first of them raised."""
        for part in self._parts:
            part.result()
        return self._images


@contextmanager
def decoders() -> Iterator[ThreadPoolExecutor]:
    """Provide a thread for each CPU core; at the end what was not begun is dropped."""
    pool = ThreadPoolExecutor(cores(), thread_name_prefix="initbench-decoder")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read(path: Path, size: int) -> Image.Image:
    """Return the image in a file of `size` bytes, as RGB and at its own size.

    Raises UndecodableError where the file is no image, UserError where it cannot be read or has
    another size.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"image file `{path}`: cannot be read: {error.strerror}; restore it"
        ) from error
    if len(content) != size:
        raise UserError(
            f"image file `{path}`: expected {size:,} bytes, as when the data set was read first, "
            f"got {len(content):,}; restore the file"
        )
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as image:
            return image.convert("RGB")
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises nearly anything about a broken file
        unknown = isinstance(error, UnidentifiedImageError)
        got = "of something else" if unknown else f"that will not decode ({error})"
        raise UndecodableError(
            f"image file `{path}`: expected a JPEG or PNG image, got {size:,} bytes {got}; restore "
            "the file, or set `undecodable: skip` to leave such files out"
        ) from error


def _decode(files: ImageFiles, positions: Sequence[int], slots: NDArray[np.uint8]) -> None:
    for slot, position in zip(slots, positions, strict=True):
        slot[:] = files.decode(position)


def _seen(image: Image.Image, view: View, path: Path) -> Image.Image:
    """Return the square that `view` shows."""
    from PIL import Image

    if view.shorter is None:
        if image.size != (view.crop, view.crop):
            raise UserError(
                f"image file `{path}`: expected {view.crop} x {view.crop} pixels, got "
                f"{image.width} x {image.height}; restore the file"
            )
        return image
    shorter = min(image.size)
    width, height = (side * view.shorter // shorter for side in image.size)
    if width * height > _MOST_PIXELS:
        raise UndecodableError(
            f"image file `{path}`: expected a photograph, got {image.width} x {image.height} "
            "pixels; restore the file, or set `undecodable: skip` to leave such files out"
        )
    left, top = round((width - view.crop) / 2), round((height - view.crop) / 2)
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    return scaled.crop((left, top, left + view.crop, top + view.crop))
