"""The gated PixelCNN rewritten for drawing: few passes over memory, equal but for rounding.

- tanh(a) sigmoid(b) = 2 (sigmoid(2 a) - 1/2) sigmoid(b), and both factors of 2 are part of the
  matrices before and after. They are powers of two, which rounding does not notice. In the
  horizontal stream the 1/2 is part of the next matrix as well.
- Biases of the residual layers are never added: what they would add to later biases is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from initbench_slices.stacking import Parameters
from torch import Tensor

from initbench_vqvae.prior import GatedLayer, GatedPixelCNN, transposed


@dataclass(frozen=True)
class HalvedLayers:
    """All gated layers as matrices (layers, models or blocks, in, out)."""

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
    def of(cls, prior: GatedPixelCNN, layers: Sequence[GatedLayer]) -> Self:
        """Rewrite layers with half gates."""
        upper, lower, to_horizontal, left, here, residual = (
            torch.stack([getattr(layer, name) for layer in layers])
            for name in ("upper", "lower", "to_horizontal", "left", "here", "residual")
        )
        # What the residual biases of the layers before add to the horizontal stream. The first
        # layer sees embedded codes instead.
        added = residual_biases(layers).roll(1, dims=0)
        added[0] = 0
        first_bias = torch.stack([layer.bias for layer in layers]) + added @ here
        vertical_bias = torch.stack([layer.vertical_bias for layer in layers])
        return cls(
            upper=upper,
            lower=lower,
            vertical_bias=vertical_bias.repeat(1, 1, 1, prior.kernel),
            to_horizontal=to_horizontal,
            first_bias=first_bias,
            bias=first_bias + added @ left,
            left=left,
            here=here,
            residual=torch.cat([residual, -residual / 2], dim=2),
        )

    def of_blocks(self, models: Sequence[int] | slice) -> HalvedLayers:
        """Return the matrices of each block's model."""
        return HalvedLayers(**{name: x[:, models] for name, x in vars(self).items()})

    def each(self) -> list[HalvedLayers]:
        """Return the matrices of each layer, without that dimension."""
        names = list(vars(self))
        of_layers = zip(*vars(self).values(), strict=True)
        return [HalvedLayers(**dict(zip(names, own, strict=True))) for own in of_layers]


@dataclass(frozen=True)
class HeadLayers:
    """The two layers that turn the horizontal stream into logits, (models or blocks, in, out)."""

    hidden: Tensor  # the bias is its last row: adding it to so many units would take longer
    output: Tensor
    output_bias: Tensor

    def of_blocks(self, models: Sequence[int] | slice) -> HeadLayers:
        """Return the matrices of each block's model."""
        return HeadLayers(**{name: x[models] for name, x in vars(self).items()})

    def rounded(self) -> HeadLayers:
        """Return the matrices as bfloat16."""
        return HeadLayers(**{name: x.bfloat16() for name, x in vars(self).items()})


@dataclass(frozen=True)
class HalvedNetwork:
    """The prior in such layers."""

    side: int
    embedding: Tensor
    layers: HalvedLayers
    head: HeadLayers
    rounded_head: HeadLayers

    @classmethod
    def of(cls, prior: GatedPixelCNN, parameters: Parameters) -> Self:
        """Rewrite a prior with parameters (models, *shape)."""
        halved = {**parameters, **_for_half_gates(prior, parameters)}
        gated = [GatedLayer.of(prior, halved, i) for i in range(prior.layers)]
        hidden, hidden_bias = transposed(parameters, "output_conv.0")
        hidden_bias = hidden_bias + residual_biases(gated)[-1] @ hidden
        head = HeadLayers(
            torch.cat([hidden, hidden_bias], dim=1),
            parameters["output_conv.2.weight"].flatten(2).mT,
            parameters["output_conv.2.bias"][:, None],
        )
        embedding, layers = parameters["embedding.weight"], HalvedLayers.of(prior, gated)
        return cls(prior.kernel, embedding, layers, head, head.rounded())

    def of_blocks(self, models: Sequence[int] | slice) -> HalvedNetwork:
        """Return the matrices of each block's model."""
        return HalvedNetwork(
            self.side,
            self.embedding[models],
            self.layers.of_blocks(models),
            self.head.of_blocks(models),
            self.rounded_head.of_blocks(models),
        )


def residual_biases(layers: Sequence[GatedLayer]) -> Tensor:
    """Return what all residual layers up to each have added, (layers, models, 1, width)."""
    return torch.stack([layer.residual_bias for layer in layers]).cumsum(0)


def half_gate_(x: Tensor, out: Tensor) -> Tensor:
    """Write half of what `gate` does, for channels whose first half has been doubled, to `out`.

    `x` becomes its sigmoid.
    """
    first, second = x.sigmoid_().chunk(2, dim=-1)
    return torch.mul(first.sub_(0.5), second, out=out)


def _for_half_gates(prior: GatedPixelCNN, parameters: Parameters) -> dict[str, Tensor]:
    """Return the parameters that change if all gates are `half_gate_`."""
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
