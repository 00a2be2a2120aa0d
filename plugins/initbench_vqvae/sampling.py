"""Drawing codes from the gated PixelCNN, for all slices of all layers at once.

Position by position in raster order, but without doing anything twice: what a position needs of
those before it is kept, so one position costs a ninth of the network and not all of it. What does
not depend on any code, such as the whole first row of the vertical stream, is computed for one row
and broadcast.
"""

from __future__ import annotations

import torch
from initbench_slices.stacking import Parameters, select
from torch import Tensor

from initbench_vqvae.prior import GatedLayer, GatedPixelCNN, row_product, transposed

_BLOCKS_AT_ONCE = 16  # on a CPU: what they need between two products stays in its caches


def sample(prior: GatedPixelCNN, parameters: Parameters, uniform: Tensor) -> Tensor:
    """Draw codes by inverting their distribution function.

    Args:
        prior: the network.
        parameters: by name, each (models, *shape).
        uniform: numbers in [0, 1), one a position: (models, rows, k * k).

    Returns:
        Indices, (models, rows, k * k).
    """
    if not uniform.is_cuda and len(uniform) > _BLOCKS_AT_ONCE:
        parts = torch.arange(len(uniform)).split(_BLOCKS_AT_ONCE)
        return torch.cat([sample(prior, select(parameters, part), uniform[part]) for part in parts])
    side = prior.kernel
    sampler = _Sampler(prior, parameters)
    drawn: list[Tensor] = []
    for row in range(side):
        above = None if row == 0 else torch.stack(drawn[-side:], dim=2)
        sampler.begin_row(above)
        for column in range(side):
            logits = sampler.logits(column, drawn[-1] if column else None)
            drawn.append(choose(logits, uniform[:, :, row * side + column]))
    return torch.stack(drawn, dim=2)


def choose(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return for each row the code at which the distribution function passes `uniform`.

    Args:
        logits: (models, rows or 1, codes).
        uniform: (models, rows).
    """
    passed = (logits - logits.amax(2, keepdim=True)).exp_().cumsum(2)
    wanted = uniform[..., None] * passed[:, :, -1:]
    # A uniform number of nearly 1 may be rounded up to the end.
    return (passed <= wanted).sum(2).clamp_max_(logits.shape[2] - 1)


class _Sampler:
    """The state of both streams at the current row: one tensor a layer, rows (or 1) in dim 1."""

    def __init__(self, prior: GatedPixelCNN, parameters: Parameters) -> None:
        self.prior, self.parameters = prior, parameters
        self.layers = [GatedLayer.of(prior, parameters, i) for i in range(prior.layers)]
        # With the bias as one more row: adding it to so many hidden units would take longer.
        self.hidden = torch.cat(transposed(parameters, "output_conv.0"), dim=1)
        self.output, self.bias = transposed(parameters, "output_conv.2")
        self.v: list[Tensor | None] = [None] * prior.layers  # inputs of the row before
        self.conditions: list[Tensor] = []  # of this row: all that is added to H
        self.left: list[Tensor | None] = [None] * prior.layers  # inputs of the position before

    def begin_row(self, above: Tensor | None) -> None:
        """Bring the vertical stream to the next row; `above`: the codes of the row before."""
        self.conditions = []
        v: Tensor | None = None
        embedded = None if above is None else self.prior.embed(self.parameters, above)
        for i, layer in enumerate(self.layers):
            before = embedded if i == 0 else self.v[i]
            now = layer.vertical_bias[:, :, None].expand(-1, -1, self.prior.kernel, -1)
            if before is not None:
                now = now + row_product(before, layer.upper)
            if v is not None:  # mask A: the first layer does not see this row
                now = now + row_product(v, layer.lower)
            self.v[i] = v
            condition = torch.baddbmm(layer.bias, now.flatten(1, 2), layer.to_horizontal)
            self.conditions.append(condition.unflatten(1, now.shape[1:3]))
            if i + 1 < len(self.layers):
                v = fast_gate(now)

    def logits(self, column: int, code: Tensor | None) -> Tensor:
        """Return logits (models, rows or 1, codes); `code`: at the position before in this row."""
        h: Tensor | None = None
        embedded = None if code is None else self.prior.embed(self.parameters, code)
        for i, layer in enumerate(self.layers):
            t = self.conditions[i][:, :, column]
            before = embedded if i == 0 else self.left[i]
            if before is not None and column:
                t = t + torch.bmm(before, layer.left)
            if h is not None:  # mask A: the first layer does not see the position itself
                t = t + torch.bmm(h, layer.here)
            out = torch.baddbmm(layer.residual_bias, fast_gate(t), layer.residual)
            self.left[i] = h
            h = out if h is None else out + h
        assert h is not None
        with_one = torch.cat([h, h.new_ones(*h.shape[:2], 1)], dim=2)
        return torch.baddbmm(self.bias, torch.bmm(with_one, self.hidden).relu_(), self.output)


def fast_gate(x: Tensor) -> Tensor:
    """Return what `gate` does, to rounding: tanh(x) is 2 sigmoid(2 x) - 1, several times faster."""
    width = x.shape[-1] // 2
    scale = x.new_ones(2 * width)
    scale[:width] = 2
    first, second = (x * scale).sigmoid_().chunk(2, dim=-1)
    return (2 * first - 1).mul_(second)
