"""Sizes of parameters as a graph hypernetwork sees them, and fits its answers to them.

Source: Knyazev et al. 2021, appendix B, and the released code, whose tables of sizes these are:
trained embeddings are of no use with other ones.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

from torch import Tensor

Size = tuple[int, int, int, int]


@lru_cache
def channel_table(classes: int) -> tuple[int, ...]:
    """Return the numbers of channels that have an embedding; `classes` is the hypernetwork's."""
    few, many = range(8, 64, 8), [*range(64, 4096, 16), *range(4096, 8193, 32)]
    return tuple(sorted({1, 3, classes, *few, *many}))


@lru_cache
def spatial_table(largest: int) -> tuple[int, ...]:
    """Return the kernel extents that have an embedding; `largest` is the decoder's."""
    return tuple(sorted({*range(1, max(12, largest), 2), 14, 16}))


def indices(size: Size | None, classes: int, largest: int) -> tuple[int, int, int, int]:
    """Return the rows of the tables of channels (twice) and of extents (twice) for a size."""
    channels, extents = channel_table(classes), spatial_table(largest)
    if size is None:
        return len(channels), len(channels), len(extents), len(extents)
    out, into, height, width = size
    return (
        _nearest(8 if 4 <= out <= 7 and out not in channels else out, channels),
        _nearest(8 if 4 <= into <= 7 and into not in channels else into, channels),
        _nearest(3 if height == 2 else height, extents),
        _nearest(3 if width == 2 else width, extents),
    )


def _nearest(value: int, table: Sequence[int]) -> int:
    """Return the place of the nearest entry of a sorted table, of two the smaller one."""
    right = bisect_left(table, value)
    if right == len(table):
        return right - 1
    if right == 0 or table[right] == value:
        return right
    return right - 1 if value - table[right - 1] <= table[right] - value else right


def scale(shape: Sequence[int]) -> float:
    """Return the factor of a predicted weight: sqrt(beta / fan-in), beta 1 or 2.

    It is 1 for depthwise kernels, kernels that are wider than high, and encodings of positions.
    """
    if len(shape) > 2:
        if shape[0] == 1 and shape[2] >= 11:
            return 1.0
        beta = 1 if shape[1] == 1 or shape[2] < shape[3] else 2
    else:
        beta = 2
    return math.sqrt(beta / math.prod(shape[1:]))


def repeated(tile: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a tensor of `shape` whose element [i, j, ...] is that of the tile, modulo its size."""
    times = [-(-want // have) for want, have in zip(shape, tile.shape, strict=True)]
    if any(n > 1 for n in times):
        tile = tile.repeat(times)
    return tile[tuple(slice(want) for want in shape)]


def repeat_into(target: Tensor, tile: Tensor) -> None:
    """Fill `target` with copies of the tile, without a copy in between."""
    rows, columns = tile.shape[0], tile.shape[1] if tile.ndim > 1 else 1
    if target.ndim > 1 and tile.shape[2:] != target.shape[2:]:
        target.copy_(repeated(tile, target.shape))
        return
    for first in range(0, target.shape[0], rows):
        part = target[first : first + rows]
        if target.ndim == 1:
            part.copy_(tile[: len(part)])
            continue
        for left in range(0, target.shape[1], columns):
            block = part[:, left : left + columns]
            block.copy_(tile[: block.shape[0], : block.shape[1]])
