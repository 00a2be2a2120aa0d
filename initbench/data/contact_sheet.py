"""Contact sheets: pictures of a data set as a network gets it, to be looked at by a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from initbench.data.corruptions.making import SEVERITIES
from initbench.data.dataset import DataSet, Split, SplitName
from initbench.data.prepared import load
from initbench.data.sets.cifar10c import CIFAR10C

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Pixels = NDArray[np.uint8]  # (height, width, channels); one channel or three

TILE = 96
"""Pixels that the side of an enlarged image has at least, as far as whole factors allow."""
CLASSES = 50
"""Rows at most, so that a picture of ImageNet can be opened."""

_GAP, _TEXT = 4, 14  # pixels
_PAPER, _INK = "white", "black"


@dataclass(frozen=True)
class Row:
    """Images side by side, and what is written before them."""

    label: str
    images: Sequence[Pixels]


def contact_sheet(
    dataset: DataSet[Any], root: Path | None, count: int | None = None, split: SplitName = "test"
) -> Image.Image:
    """Return a picture of what `dataset` holds, enlarged without smoothing.

    CIFAR-10-C has a row for each corruption of its configuration, with test images as they are and
    at every severity. Another data set has a row for each class with the first images of `split`.

    Args:
        dataset: the configured data set.
        root: the data folder, if any.
        count: images of a class (left out: 10), or test images that are shown corrupted (1).
        split: where the images of a class come from.

    Raises:
        UserError: a file is missing or not what its name says.
    """
    if isinstance(dataset, CIFAR10C):
        headings = ("clean", *(f"severity {s + 1}" for s in range(SEVERITIES)))
        return draw(list(corruption_rows(dataset, root, count or 1)), headings * (count or 1))
    return draw(list(class_rows(dataset, root, count or 10, split)))


def corruption_rows(dataset: CIFAR10C, root: Path | None, count: int) -> Iterator[Row]:
    """Yield a row for each corruption: the first `count` test images, each at every severity."""
    for name, variants in dataset.examples(root, count):
        yield Row(name, [variants[s, i] for i in range(count) for s in range(len(variants))])


def class_rows(
    dataset: DataSet[Any], root: Path | None, count: int, name: SplitName
) -> Iterator[Row]:
    """Yield a row for each class: its first `count` images in a split."""
    splits = load(dataset, root)
    split: Split = dict(splits.items())[name]
    for label in range(min(splits.classes, CLASSES)):
        positions = (split.labels == label).nonzero()[:count, 0]
        images = split.images[positions].permute(0, 2, 3, 1).numpy()
        yield Row(f"class {label}", list(images))


def draw(rows: Sequence[Row], headings: Sequence[str] = ()) -> Image.Image:
    """Return a picture of `rows`, with `headings` above the columns."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_TEXT)
    size = max(image.shape[0] for row in rows for image in row.images)
    side = size * -(-TILE // size)
    left = _GAP + max(round(font.getlength(row.label)) for row in rows) + 2 * _GAP
    top = _GAP + (_TEXT + 2 * _GAP if headings else 0)
    width = left + max(len(row.images) for row in rows) * (side + _GAP)
    sheet = Image.new("RGB", (width, top + len(rows) * (side + _GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, heading in enumerate(headings):
        x = left + column * (side + _GAP) + side // 2
        pen.text((x, _GAP), heading, _INK, font, anchor="ma")
    for number, row in enumerate(rows):
        y = top + number * (side + _GAP)
        pen.text((_GAP, y + side // 2), row.label, _INK, font, anchor="lm")
        for column, pixels in enumerate(row.images):
            sheet.paste(_enlarged(pixels, side), (left + column * (side + _GAP), y))
    return sheet


def _enlarged(pixels: Pixels, side: int) -> Image.Image:
    from PIL import Image

    # Pillow wants no third axis for grey.
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    return image.resize((side, side), Image.Resampling.NEAREST)
