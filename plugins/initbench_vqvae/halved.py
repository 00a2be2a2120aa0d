"""The gated PixelCNN rewritten for drawing: few passes over memory, equal but for rounding.

- tanh(a) sigmoid(b) = 2 (sigmoid(2 a) - 1/2) sigmoid(b), and both factors of 2 are part of the
  matrices before and after. They are powers of two, which rounding does not notice. In the
  horizontal stream the 1/2 is part of the next matrix as well.
- Biases of the residual layers are never added: what they would add to later biases is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import torch
from initbench_slices.stacking import Parameters
from torch import Tensor

from initbench_vqvae.prior import GatedLayer, GatedPixelCNN, transposed


@dataclass(frozen=True)
class HalvedLayer:
    """A gated layer as matrices (models or blocks, in, out)."""

    upper: Tensor  # from all positions of the row above to all of this one
    lower: Tensor  # from this row
    vertical_bias: Tensor  # of all positions of a row
    to_horizontal: Tensor
    first_bias: Tensor  # of the horizontal stream, at the first position of a row
    bias: Tensor  # elsewhere
    left: Tensor  # from the position before
    here: Tensor
    residual: Tensor  # from (product of the gate's sigmoids, the second of them)

    @classmethod
    def of(cls, prior: GatedPixelCNN, layer: GatedLayer, added: Tensor | None) -> Self:
        """Rewrite a layer.

        Args:
            prior: the network.
            layer: with half gates.
            added: what the residual biases of the layers before add to the horizontal stream,
                (models, 1, width); None for the first layer, which sees embedded codes.
        """
        first_bias = bias = layer.bias
        if added is not None:
            first_bias = layer.bias + added @ layer.here
            bias = first_bias + added @ layer.left
        return cls(
            upper=layer.upper,
            lower=layer.lower,
            vertical_bias=layer.vertical_bias.repeat(1, 1, prior.kernel),
            to_horizontal=layer.to_horizontal,
            first_bias=first_bias,
            bias=bias,
            left=layer.left,
            here=layer.here,
            residual=torch.cat([layer.residual, -layer.residual / 2], dim=1),
        )


@dataclass(frozen=True)
class HalvedNetwork:
    """The prior in such layers."""

    side: int
    embedding: Tensor
    layers: Sequence[HalvedLayer]
    hidden: Tensor  # the bias is its last row: adding it to so many units would take longer
    output: Tensor
    output_bias: Tensor

    @classmethod
    def of(cls, prior: GatedPixelCNN, parameters: Parameters) -> Self:
        """Rewrite a prior with parameters (models, *shape)."""
        halved = {**parameters, **_for_half_gates(prior, parameters)}
        gated = [GatedLayer.of(prior, halved, i) for i in range(prior.layers)]
        # What all residual layers up to one would have added to the horizontal stream.
        added = torch.cat([layer.residual_bias for layer in gated], dim=1).cumsum(1)
        before = [None, *added[:, :-1].split(1, dim=1)]
        hidden, hidden_bias = transposed(parameters, "output_conv.0")
        hidden_bias = hidden_bias + added[:, -1:] @ hidden
        return cls(
            prior.kernel,
            parameters["embedding.weight"],
            [HalvedLayer.of(prior, *both) for both in zip(gated, before, strict=True)],
            torch.cat([hidden, hidden_bias], dim=1),
            *transposed(parameters, "output_conv.2"),
        )

    def of_blocks(self, models: Sequence[int] | slice) -> HalvedNetwork:
        """Return the matrices of each block's model."""
        return HalvedNetwork(
            self.side,
            self.embedding[models],
            [
                HalvedLayer(*(getattr(layer, field.name)[models] for field in fields(layer)))
                for layer in self.layers
            ],
            self.hidden[models],
            self.output[models],
            self.output_bias[models],
        )

    def logits(self, h: Tensor) -> Tensor:
        """Return logits (blocks, rows, codes) of the horizontal stream's end."""
        with_one = torch.cat([h, h.new_ones(*h.shape[:2], 1)], dim=2)
        hidden = torch.bmm(with_one, self.hidden).relu_()
        return torch.baddbmm(self.output_bias, hidden, self.output)


def half_gate(x: Tensor) -> Tensor:
    """Return half of what `gate` does, for channels whose first half has been doubled."""
    first, second = x.sigmoid().chunk(2, dim=-1)
    return (first - 0.5).mul_(second)


def _for_half_gates(prior: GatedPixelCNN, parameters: Parameters) -> dict[str, Tensor]:
    """Return the parameters that change if all gates are `half_gate`."""
    doubled = parameters["embedding.weight"].new_ones(2 * prior.width)
    doubled[: prior.width] = 2
    out, into = doubled[:, None, None, None], doubled[None, :, None, None]
    changed = {}
    for i in range(prior.layers):
        name = f"layers.{i}"
        sees = 2 if i else 1  # gates; the first layer, embedded codes
        for part, by in [
            ("vert_stack", out * sees),
            ("vert_to_horiz", out / into),
            ("horiz_stack", out),
        ]:
            changed[f"{name}.{part}.weight"] = parameters[f"{name}.{part}.weight"] * by
            changed[f"{name}.{part}.bias"] = parameters[f"{name}.{part}.bias"] * doubled
        changed[f"{name}.horiz_resid.weight"] = 2 * parameters[f"{name}.horiz_resid.weight"]
    return changed
