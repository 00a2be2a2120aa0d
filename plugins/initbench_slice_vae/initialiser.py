"""The slice VAE as an initialiser: kernels decoded from standard normal latents.

Source: Harder et al. 2023, section 3.2 and supplement; sizes, epochs and the constant output
variance from the authors' code. Two presets:

| preset | standardise | output variance | weight decay | a sample is |
| --- | --- | --- | --- | --- |
| faithful | no | 0.001 for 3 x 3 slices, learned for others (as the code has it) | 1 | the mean |
| robust | yes | learned | 1e-5 | of the decoder's normal |

Deviations:
- The faithful output variance sets an absolute scale: where trained slices have a standard
  deviation below about 0.03, nothing is worth encoding and samples collapse to a constant. The
  robust preset divides slices by the standard deviation of their layer and learns the variance.
- `output_noise` adds what the decoder says is left over; the paper uses the mean alone.
- `least_steps` trains small zoos for longer than the table of epochs, which was made for 80
  networks, where it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    from torch import Tensor

    from initbench_slice_vae.model import SliceVAE

ACTIVE = 0.01
"""A latent whose mean varies by more than this over the data is in use."""


class SliceVAEConfig(ModelConfig):
    """What all local methods have, the preset, and what is to differ from it."""

    preset: Annotated[
        Literal["faithful", "robust"],
        Field(description="as published, or without its dependence on the scale of weights"),
    ] = "faithful"
    standardise: Annotated[
        bool | None, Field(description="divide slices by their layer's std; default: the preset's")
    ] = None
    output_variance: Annotated[
        Literal["fixed", "learned"] | None, Field(description="default: the preset's")
    ] = None
    weight_decay: Annotated[
        float | None, Field(ge=0, allow_inf_nan=False, description="default: the preset's")
    ] = None
    output_noise: Annotated[
        bool | None,
        Field(description="sample from the decoder's normal, not its mean; default: the preset's"),
    ] = None


class SliceVAEInitialiser(LocalInitialiser[SliceVAEConfig]):
    """Draws every kernel slice from the variational autoencoder of its layer."""

    name = "slice_vae"
    summary = "each kernel slice decoded by the VAE of its layer, learnt from a zoo"
    version = "2"
    Config = SliceVAEConfig
    method = "slice VAE"

    def learn(
        self, layers: Sequence[LayerSlices], generator: torch.Generator, device: str
    ) -> Learnt:
        from initbench_slices.training import lessons, train

        model = self._model(layers[0].place.kernel)
        taught, scales = lessons(layers, self._robust_unless("standardise"), self.config, generator)
        parameters = train(model, taught, device)
        found = [
            judge(model, {n: p[[i]] for n, p in parameters.items()}, lesson.held_out.to(device))
            for i, lesson in enumerate(taught)
        ]
        return Learnt({**parameters, "scale": scales}, found)

    def sample(
        self,
        tensors: Tensors,
        kernel: int,
        wanted: Sequence[tuple[int, int]],
        generator: torch.Generator,
    ) -> list[Tensor]:
        import torch
        from initbench_slices.stacking import Blocks, parts, select

        model = self._model(kernel)
        device = tensors["scale"].device
        blocks = Blocks([layer for layer, _ in wanted], [count for _, count in wanted])

        def normal(size: int) -> Tensor:
            rows = [torch.randn(count, size, generator=generator) for _, count in wanted]
            return blocks.pack(rows).to(device)

        parameters = {name: tensors[name].to(device) for name in model.starts()}
        z = normal(model.latent)
        noise = normal(kernel**2) if self._robust_unless("output_noise") else None
        decoded = []
        with torch.no_grad():
            for part in parts(blocks.models, device):
                mean, variance = model.decode(select(parameters, part.models), part.rows(z))
                if noise is not None:
                    mean = mean + variance.sqrt() * part.rows(noise)
                decoded.append(mean.flatten(0, 1))
        slices = blocks.unpack(torch.cat(decoded))
        return [x * tensors["scale"][i] for x, (i, _) in zip(slices, wanted, strict=True)]

    def _robust_unless(self, option: Literal["standardise", "output_noise"]) -> bool:
        """Return an option, or where it is left out whether the preset is the robust one."""
        given: bool | None = getattr(self.config, option)
        return self.config.preset == "robust" if given is None else given

    def _model(self, kernel: int) -> SliceVAE:
        from initbench_slice_vae.model import SliceVAE

        config, robust = self.config, self.config.preset == "robust"
        variance = config.output_variance
        if variance is None:
            variance = "learned" if robust or kernel != 3 else "fixed"
        decay = config.weight_decay
        if decay is None:
            decay = 1e-5 if robust else 1.0
        return SliceVAE(kernel, learned_variance=variance == "learned", weight_decay=decay)


def judge(model: SliceVAE, parameters: Tensors, held_out: Tensor) -> dict[str, float]:
    """Return how well one model (parameters (1, ...)) encodes held-out slices (rows, k * k)."""
    import torch
    from initbench_slices.diagnostics import explained

    from initbench_slice_vae.model import divergence

    with torch.no_grad():
        mean, variance = model.encode(parameters, held_out[None])
        decoded, _ = model.decode(parameters, mean)
    return {
        "r2": explained(held_out, decoded[0]),
        "kl": float(divergence(mean, variance).sum(2).mean()),
        "active": int((mean[0].var(0) > ACTIVE).sum()),
    }
