"""The VQVAE of slices as an initialiser: kernels decoded from codes.

Source: Harder et al. 2023, supplement; sizes that the paper leaves open, and the prior, from the
authors' code. `vqvae_star` draws the codes of a slice from a gated PixelCNN, `vqvae` each of them
independently and uniformly, as in the code (it is not in the paper's figures).

Deviations:
- `vqvae`: the authors' sampler reads the drawn (positions, dimensions) as (dimensions, positions),
  which scrambles both. Here codes stay whole; `fidelity: code` is the scrambled form.
- `standardise` divides slices by the standard deviation of their layer; off, as in the paper.
- `least_steps` trains small zoos for longer than the table of epochs, which was made for 80
  networks, where it changes nothing.
- The moving-average codebook is not offered; the authors' setting is the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from initbench_slices.fitted import Tensors
from initbench_slices.initialiser import (
    Learnt,
    LocalInitialiser,
    ModelConfig,
)
from initbench_slices.slices import LayerSlices
from pydantic import Field

if TYPE_CHECKING:
    import torch
    from initbench_slices.training import Lesson
    from torch import Tensor

    from initbench_vqvae.model import SliceVQVAE

_ROWS_AT_ONCE = 16_384


class CodesConfig(ModelConfig):
    """What all local methods have, and how the VQVAE is trained."""

    standardise: Annotated[bool, Field(description="divide slices by their layer's std")] = False
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-5


class VQVAEConfig(CodesConfig):
    """What both VQVAE initialisers have, and how codes are put together."""

    fidelity: Annotated[
        Literal["paper", "code"],
        Field(description="`code`: positions and dimensions of codes scrambled, as released"),
    ] = "paper"


class _Codes(LocalInitialiser[CodesConfig]):
    """Decodes every kernel slice from drawn codes."""

    version = "1"

    def learn(
        self, layers: Sequence[LayerSlices], generator: torch.Generator, device: str
    ) -> Learnt:
        from initbench_slices.training import lessons, train

        from initbench_vqvae.model import SliceVQVAE

        config = self.config
        model = SliceVQVAE(layers[0].place.kernel, weight_decay=config.weight_decay)
        taught, scales = lessons(layers, config.standardise, config, generator)
        parameters = train(model, taught, device)
        coded, found = [], []
        for i, lesson in enumerate(taught):
            own = {name: x[[i]].cpu() for name, x in parameters.items()}
            coded.append(encode(model, own, lesson))
            found.append(judge(model, own, lesson.held_out, coded[i].held_out))
        prior = self.learn_prior(coded, device)
        return Learnt({**parameters, "scale": scales, **prior}, found)

    def sample(
        self,
        tensors: Tensors,
        kernel: int,
        wanted: Sequence[tuple[int, int]],
        generator: torch.Generator,
    ) -> list[Tensor]:
        import torch
        from initbench_slices.stacking import Blocks, parts, select

        from initbench_vqvae.model import SliceVQVAE

        model = SliceVQVAE(kernel)
        device = tensors["scale"].device
        blocks = Blocks([layer for layer, _ in wanted], [count for _, count in wanted])
        drawn = [torch.rand(count, kernel**2, generator=generator) for _, count in wanted]
        parameters = {name: tensors[name].to(device) for name in model.starts()}
        decoded = []
        with torch.no_grad():
            uniform = blocks.pack(drawn).to(device)
            indices = self.sample_codes(tensors, kernel, blocks.models, uniform)
            for part in parts(blocks.models, device):
                own = select(parameters, part.models)
                codes = self.arrange(model.look_up(own, part.rows(indices)))
                decoded.append(model.decode(own, codes).flatten(0, 1))
        slices = blocks.unpack(torch.cat(decoded))
        return [x * tensors["scale"][i] for x, (i, _) in zip(slices, wanted, strict=True)]

    def learn_prior(self, coded: Sequence[Lesson], device: str) -> Tensors:
        """Return the parameters of a prior learnt from codes, if there is to be one."""
        return {}

    def sample_codes(
        self, tensors: Tensors, kernel: int, models: Sequence[int], uniform: Tensor
    ) -> Tensor:
        """Draw indices for uniform numbers (blocks, rows, k * k); `models`: that of each block."""
        from initbench_vqvae.model import SliceVQVAE

        return (uniform * SliceVQVAE.codes).long()

    def arrange(self, codes: Tensor) -> Tensor:
        """Return the codes (blocks, rows, k * k, dimensions) as the decoder is to see them."""
        return codes


class VQVAE(_Codes):
    """Draws the codes of every kernel slice independently and uniformly."""

    name = "vqvae"
    summary = "each kernel slice decoded by the VQVAE of its layer from uniform codes"
    Config = VQVAEConfig
    method = "VQVAE"
    config: VQVAEConfig

    def arrange(self, codes: Tensor) -> Tensor:
        if self.config.fidelity == "paper":
            return codes
        positions, dimensions = codes.shape[2:]
        return codes.reshape(*codes.shape[:2], dimensions, positions).transpose(2, 3)


class VQVAEStar(_Codes):
    """Draws the codes of every kernel slice from the autoregressive prior of its layer."""

    name = "vqvae_star"
    summary = "each kernel slice decoded by the VQVAE of its layer, codes from a PixelCNN prior"
    version = "3"
    Config = CodesConfig
    method = "VQVAE with PixelCNN prior"

    def learn_prior(self, coded: Sequence[Lesson], device: str) -> Tensors:
        from initbench_slices.training import train

        from initbench_vqvae.prior import GatedPixelCNN

        prior = GatedPixelCNN(math.isqrt(coded[0].train.shape[1]))
        return {f"prior.{name}": x for name, x in train(prior, coded, device).items()}

    def sample_codes(
        self, tensors: Tensors, kernel: int, models: Sequence[int], uniform: Tensor
    ) -> Tensor:
        from initbench_vqvae.prior import GatedPixelCNN
        from initbench_vqvae.sampling import sample

        prior = GatedPixelCNN(kernel)
        parameters = {n: tensors[f"prior.{n}"].to(uniform.device) for n in prior.starts()}
        return sample(prior, parameters, models, uniform)


def encode(model: SliceVQVAE, parameters: Tensors, lesson: Lesson) -> Lesson:
    """Return a lesson in indices of codes, for one model (parameters (1, ...))."""
    import torch

    def indices(slices: Tensor) -> Tensor:
        parts = slices.split(_ROWS_AT_ONCE)
        encoded = (model.encode(parameters, part[None]) for part in parts)
        return torch.cat([model.quantise(parameters, z_e)[0] for z_e in encoded])

    with torch.no_grad():
        return replace(lesson, train=indices(lesson.train), held_out=indices(lesson.held_out))


def judge(
    model: SliceVQVAE, parameters: Tensors, slices: Tensor, indices: Tensor
) -> dict[str, float]:
    """Return how well one model keeps held-out slices, and how many codes it has in use."""
    import torch
    from initbench_slices.diagnostics import explained

    from initbench_vqvae.model import perplexity

    with torch.no_grad():
        decoded = model.decode(parameters, model.look_up(parameters, indices[None]))[0]
    return {
        "r2": explained(slices, decoded),
        "perplexity": perplexity(indices, model.codes),
    }
