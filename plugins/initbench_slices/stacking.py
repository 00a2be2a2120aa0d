"""Many small networks at once: parameters with a leading dimension, convolutions as matrices.

A slice is so small (9 positions) that a convolution on it is best written as what it is, a matrix
from all inputs at all positions to all outputs at all positions. Then the same layer of all
models of a stack is one batched product. Activations are (models, rows, positions, channels);
parameters keep the shapes of PyTorch's modules, with the models in front.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Parameters = Mapping[str, Tensor]
"""By name, each (models, *shape)."""


@dataclass(frozen=True)
class Start:
    """The shape of a parameter and how it is drawn: uniform within `scale`, or normal."""

    shape: tuple[int, ...]
    scale: float
    distribution: Literal["uniform", "normal"] = "uniform"


def convolution(
    name: str, out: int, into: int, *kernel: int, transposed: bool = False
) -> dict[str, Start]:
    """Return weight and bias of a convolution as PyTorch starts it: within 1 / sqrt(fan-in).

    The fan-in of a transposed convolution counts its outputs, as PyTorch has it.
    """
    shape = (into, out, *kernel) if transposed else (out, into, *kernel)
    bound = 1 / math.sqrt(shape[1] * math.prod(kernel))
    return {f"{name}.weight": Start(shape, bound), f"{name}.bias": Start((out,), bound)}


def draw(starts: Mapping[str, Start], generators: Sequence[torch.Generator]) -> Tensor:
    """Return the flat starting parameters of one model a generator: (models, parameters)."""
    return torch.stack([_draw(starts, generator) for generator in generators])


def _draw(starts: Mapping[str, Start], generator: torch.Generator) -> Tensor:
    values = []
    for start in starts.values():
        tensor = torch.empty(math.prod(start.shape))
        if start.distribution == "normal":
            values.append(tensor.normal_(0, start.scale, generator=generator))
        else:
            values.append(tensor.uniform_(-start.scale, start.scale, generator=generator))
    return torch.cat(values)


def unpack(flat: Tensor, starts: Mapping[str, Start]) -> dict[str, Tensor]:
    """Return flat parameters (models, parameters) by name, as views."""
    parts = flat.split([math.prod(start.shape) for start in starts.values()], dim=1)
    return {
        name: part.view(len(flat), *start.shape)
        for (name, start), part in zip(starts.items(), parts, strict=True)
    }


def select(parameters: Parameters, models: Sequence[int] | Tensor) -> dict[str, Tensor]:
    """Return the parameters of some models, in this order; a model may come several times."""
    return {name: tensor[models] for name, tensor in parameters.items()}


# --- layers -------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def connections(
    kernel: tuple[int, int],
    inputs: tuple[int, int],
    outputs: tuple[int, int],
    padding: tuple[int, int],
    transposed: bool = False,
    hidden: tuple[int, ...] = (),
    device: torch.device | str = "cpu",
) -> Tensor:
    """Say which tap of a kernel leads from which input position to which output position.

    Args:
        kernel: its height and width; taps are counted row by row, like positions.
        inputs: height and width of the input grid.
        outputs: of the output grid; what a convolution would give beyond it is left out.
        padding: zeros above and to the left.
        transposed: for a transposed convolution of stride 1.
        hidden: taps that are masked out.
        device: where the answer is wanted.

    Returns:
        Zeros and ones: (input positions * output positions, taps).
    """
    answer = torch.zeros(math.prod(inputs), math.prod(outputs), math.prod(kernel))
    sign = -1 if transposed else 1
    for place in range(math.prod(outputs)):
        for tap in range(math.prod(kernel)):
            row = place // outputs[1] + sign * (tap // kernel[1] - padding[0])
            column = place % outputs[1] + sign * (tap % kernel[1] - padding[1])
            if 0 <= row < inputs[0] and 0 <= column < inputs[1] and tap not in hidden:
                answer[row * inputs[1] + column, place, tap] = 1
    return answer.flatten(0, 1).to(device)


def matrix(weight: Tensor, links: Tensor, places: tuple[int, int]) -> Tensor:
    """Write convolutions as matrices.

    Args:
        weight: (models, out, in, *kernel).
        links: the answer of `connections`.
        places: the numbers of input and output positions.

    Returns:
        (models, input positions * in, output positions * out).
    """
    models, out, into = weight.shape[:3]
    taps = weight.flatten(3).permute(0, 3, 2, 1).reshape(models, -1, into * out)
    spread = links @ taps
    spread = spread.view(models, *places, into, out).transpose(2, 3)
    return spread.reshape(models, places[0] * into, places[1] * out)


def convolve(
    x: Tensor,
    parameters: Parameters,
    name: str,
    grids: tuple[int, int],
    padding: int = 0,
    *,
    transposed: bool = False,
) -> Tensor:
    """Apply a square convolution of stride 1 on square grids.

    Args:
        x: (models, rows, positions, in).
        parameters: with `name.weight` and `name.bias`.
        name: of the layer.
        grids: the sides of the input and of the output grid.
        padding: as PyTorch has it.
        transposed: whether the layer is a transposed convolution.
    """
    weight = parameters[f"{name}.weight"]
    if transposed:
        weight = weight.transpose(1, 2)
    kernel = (weight.shape[3], weight.shape[4])
    into, out = ((side, side) for side in grids)
    links = connections(kernel, into, out, (padding, padding), transposed, device=x.device)
    dense = matrix(weight, links, (grids[0] ** 2, grids[1] ** 2))
    y = torch.bmm(x.flatten(2), dense).view(*x.shape[:2], grids[1] ** 2, -1)
    return y + parameters[f"{name}.bias"][:, None, None]


def pointwise(x: Tensor, parameters: Parameters, name: str) -> Tensor:
    """Apply a 1 x 1 convolution to (models, rows, positions, in)."""
    weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
    y = torch.baddbmm(bias[:, None], x.flatten(1, 2), weight.flatten(2).mT)
    return y.view(*x.shape[:3], -1)


def elu(x: Tensor) -> Tensor:
    """Return x where it is positive, else exp(x) - 1.

    PyTorch's takes several times as long, as it is exact for tiny x. Learning needs that; drawing
    and judging do not notice 1e-7.
    """
    if torch.is_grad_enabled():
        return functional.elu(x)
    negative = x.clamp_max(0).exp_().sub_(1)
    return torch.maximum(x, negative, out=negative)


def look_up(table: Tensor, indices: Tensor) -> Tensor:
    """Return rows (models, ..., channels) of tables (models, entries, channels)."""
    models, entries = table.shape[:2]
    first = torch.arange(0, models * entries, entries, device=table.device)
    wanted = indices.flatten(1) + first[:, None]
    return table.flatten(0, 1).index_select(0, wanted.flatten()).view(*indices.shape, -1)


# --- blocks -------------------------------------------------------------------------------------

BLOCK_ROWS = 256
_BLOCKS_AT_ONCE = 16  # on a CPU: more leave its caches between products, fewer are many small steps


@dataclass(frozen=True)
class Part:
    """Blocks that are computed at once."""

    models: Sequence[int]
    """The model of each group of rows."""
    blocks: slice

    def rows(self, packed: Tensor) -> Tensor:
        """Return their rows of (blocks, rows, ...) as (models, rows, ...)."""
        return packed[self.blocks].reshape(len(self.models), -1, *packed.shape[2:])


def parts(models: Sequence[int], device: torch.device, on_device: int | None = None) -> list[Part]:
    """Return which blocks are computed at once.

    Args:
        models: of each block.
        device: on a CPU, where only a few blocks stay in its caches, parts are blocks of one model
            or of several with equally many, so that one product serves all rows of a model.
        on_device: so many elsewhere; all, if it is None.
    """
    if device.type != "cpu":
        every = _pieces(0, len(models), on_device or len(models))
        return [Part(models[piece], piece) for piece in every]
    changes = [i for i in range(1, len(models)) if models[i] != models[i - 1]]
    runs = pairwise([0, *changes, len(models)])
    found = []
    for length, group in groupby(runs, key=lambda run: run[1] - run[0]):
        spans = list(group)
        if length > _BLOCKS_AT_ONCE:
            pieces = [piece for span in spans for piece in _pieces(*span, _BLOCKS_AT_ONCE)]
            found += [Part([models[piece.start]], piece) for piece in pieces]
        else:
            at_once = _BLOCKS_AT_ONCE // length * length
            pieces = _pieces(spans[0][0], spans[-1][1], at_once)
            found += [Part(models[piece][::length], piece) for piece in pieces]
    return found


def _pieces(first: int, end: int, at_once: int) -> list[slice]:
    return [slice(i, min(i + at_once, end)) for i in range(first, end, at_once)]


class Blocks:
    """Rows of several models in blocks of equal size, so that one batched product serves them all.

    Layers have between 48 and 4,096 slices; padding them to one length would be mostly padding.
    """

    def __init__(self, models: Sequence[int], counts: Sequence[int]) -> None:
        self._counts = counts
        blocks = [-(-count // BLOCK_ROWS) for count in counts]
        self._padded = [number * BLOCK_ROWS for number in blocks]
        self.models = [m for m, n in zip(models, blocks, strict=True) for _ in range(n)]
        """The model of each block."""

    def pack(self, rows: Iterable[Tensor]) -> Tensor:
        """Return (count, ...) for each model as (blocks, BLOCK_ROWS, ...), padded with zeros."""
        padded = [
            torch.cat([part, part.new_zeros(length - len(part), *part.shape[1:])])
            for part, length in zip(rows, self._padded, strict=True)
        ]
        return torch.cat(padded).view(-1, BLOCK_ROWS, *padded[0].shape[1:])

    def unpack(self, rows: Tensor) -> list[Tensor]:
        """Return all rows of all blocks, (blocks * BLOCK_ROWS, ...), as (count, ...) a model."""
        parts = rows.split(self._padded)
        return [part[:count] for part, count in zip(parts, self._counts, strict=True)]
