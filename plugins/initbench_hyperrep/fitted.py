"""What was learnt, as an artifact holds it: a decoder, the training latents, how good they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from initbench.api import Artifact, PluginError, UnsupportedError
from initbench_hyperrep.diagnostics import COPIED
from initbench_hyperrep.network import Decoder, Sizes
from initbench_hyperrep.prior import Prior
from initbench_hyperrep.sampling import (
    Sampler,
    best,
    kde_full,
    kde_independent,
    kde_shared,
    reconstruction,
)
from initbench_hyperrep.tokens import TokenTable

METHOD = "hyper-representation"
FORMAT = 1
"""Of artifacts; bumped when an older one can no longer be read."""


@dataclass(frozen=True)
class Fitted:
    """Draws latents and decodes them, on the CPU."""

    table: TokenTable
    decoder: Decoder
    prior: Prior
    latents: Tensor  # (checkpoints, latent), of the training networks
    accuracy: Mapping[str, Tensor]  # on validation and test images, (checkpoints,)
    distances: Mapping[str, float | None]
    """Latent distance of each sampler (`diagnostics`)."""

    @classmethod
    def of(cls, artifact: Artifact) -> Fitted:
        """Read an artifact; raise PluginError if it is not one of this method and version."""
        description = artifact.description
        found = description.get("method"), description.get("format")
        if found != (METHOD, FORMAT):
            raise PluginError(
                f"expected a fitted state of `{METHOD}` in format {FORMAT}, got one of "
                f"`{found[0]}` in format {found[1]}; fit it again"
            )
        table = TokenTable.from_tree(description["tokens"])
        with torch.device("meta"):  # nothing is drawn for what is replaced at once
            decoder = Decoder(table, Sizes(**description["sizes"]))
        decoder.load_state_dict(_below("decoder.", artifact.tensors), assign=True)
        return cls(
            table,
            decoder.eval(),
            Prior.restored(_below("prior.", artifact.tensors)),
            artifact.tensors["latents"],
            {key: artifact.tensors[f"{key}_accuracy"] for key in ("validation", "test")},
            description["latent_distances"],
        )

    def refuse_others(self, table: TokenTable) -> None:
        """Raise UnsupportedError for a network that is not of the zoo's architecture."""
        if table == self.table:
            return
        shapes = zip(self.table.layers, table.layers, strict=False)
        differing = next(((x, y) for x, y in shapes if x != y), None)
        if differing is None:
            how = f"{len(self.table.layers)} layers, the network has {len(table.layers)}"
        else:
            x, y = differing
            how = f"`{x.weight}` {x.shape}, the network has `{y.weight}` {y.shape}"
        raise UnsupportedError(
            "samples fit networks of the zoo's architecture only: the zoo's have "
            f"{how}; learn from a zoo of this model"
        )

    def draw(
        self,
        sampler: Sampler,
        count: int,
        top: float,
        generator: torch.Generator,
        bandwidth: float,
        fidelity: Literal["paper", "code"],
    ) -> Tensor:
        """Draw latents (count, latent) from those of the best networks, a share `top`."""
        accuracy = self.accuracy["test" if fidelity == "code" else "validation"]
        if sampler == "diffusion":
            rank = 1 - top * torch.rand(count, generator=generator)
            return self.prior.sample(rank, generator)
        latents = best(self.latents, accuracy, top)
        if sampler == "kde_independent":
            return kde_independent(latents, count, generator, bandwidth)
        if sampler == "kde_shared":
            return kde_shared(latents, count, generator, bandwidth)
        if sampler == "kde_full":
            return kde_full(latents, count, generator)
        return reconstruction(latents, count, generator)

    @torch.no_grad()
    def decoded(self, latents: Tensor) -> list[dict[str, Tensor]]:
        """Return latents (count, latent) as parameters by name."""
        return [self.table.state(row) for row in self.decoder(latents)]

    def remark(self, sampler: Sampler) -> str:
        """Say how a sample was drawn, and whether it is a copy."""
        distance = self.distances[sampler]
        remark = f"decoded from a latent of `{sampler}`"
        if distance is not None and distance < COPIED:
            remark += f", A COPY: {distance:.2g} times as far from a training latent as is usual"
        return remark


def artifact_of(
    fitted: Fitted, sizes: Sizes, description: Mapping[str, Any], examples: Mapping[str, Tensor]
) -> Artifact:
    """Return what was learnt as an artifact; `Fitted.of` reads it."""
    tensors = {
        **{f"decoder.{name}": x for name, x in fitted.decoder.state_dict().items()},
        **{f"prior.{name}": x for name, x in fitted.prior.state_dict().items()},
        **{f"{key}_accuracy": x for key, x in fitted.accuracy.items()},
        "latents": fitted.latents,
        **examples,
    }
    return Artifact(
        {name: x.cpu().contiguous() for name, x in tensors.items()},
        {
            "method": METHOD,
            "format": FORMAT,
            "sizes": asdict(sizes),
            "tokens": fitted.table.tree(),
            "latent_distances": dict(fitted.distances),
            **description,
        },
    )


def _below(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): x for name, x in tensors.items() if name.startswith(start)}
