"""Golden data, and small networks, zoos and targets to learn about."""

from __future__ import annotations

from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from initbench_hyperrep.initialiser import HyperRepresentation
from initbench_hyperrep.network import Autoencoder, Sizes
from initbench_hyperrep.options import HyperRepresentationConfig
from initbench_hyperrep.tokens import TokenTable
from torch import Tensor, nn

from initbench.api import (
    Artifact,
    Batch,
    Checkpoint,
    CoverageMap,
    FitInputs,
    ImageSplits,
    Initialisation,
    Split,
    Target,
    Zoo,
    ZooMember,
)
from initbench.models.tracing import anatomy
from initbench.models.zoo_cnn import ZooCNN, ZooCNNConfig

GOLDEN = Path(__file__).parent / "golden"
ZOOS = {"mnist": (1, "tanh"), "cifar": (3, "gelu")}
"""Channels of images and activation of the networks in the golden files."""

_RENAMED = {
    "token_embeddings.layer_lst": "embeddings",
    "token_debeddings.layer_lst": "embeddings",
    "comp_token": "compression",
    "position_embeddings": "positions",
    "vec2neck.0": "bottleneck",
    "nec2vec": "expansion",
    "layers.": "blocks.",
    "norm_1.alpha": "attention_norm.scale",
    "norm_1.bias": "attention_norm.shift",
    "norm_2.alpha": "feed_forward_norm.scale",
    "norm_2.bias": "feed_forward_norm.shift",
    "attn.q_linear": "attention.query",
    "attn.k_linear": "attention.key",
    "attn.v_linear": "attention.value",
    "attn.out": "attention.out",
    "ff.linear_1": "feed_forward.0",
    "ff.linear_2": "feed_forward.3",
}


@cache
def golden(name: str) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{name}.npz") as data:
        return {key: torch.from_numpy(data[key]) for key in data.files}


def part(name: str, prefix: str) -> dict[str, Tensor]:
    """The entries of a golden file below a prefix."""
    found = golden(name).items()
    return {key.removeprefix(prefix): x for key, x in found if key.startswith(prefix)}


def zoo_cnn(channels: int = 1, activation: str = "tanh") -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ZooCNN(ZooCNNConfig(activation=activation)).build(channels, 28, 10)


def zoo_table(name: str = "mnist") -> TokenTable:
    return TokenTable.of(anatomy(zoo_cnn(*ZOOS[name])))


def golden_autoencoder(name: str) -> Autoencoder:
    """The autoencoder of a golden file, in evaluation mode."""
    sizes = Sizes(width=32, feed_forward=48, layers=2, heads=4, latent=16)
    autoencoder = Autoencoder(zoo_table(name), sizes)
    state = {}
    for key, tensor in part(f"{name}_zoo_small", "param/").items():
        state[reduce(lambda text, pair: text.replace(*pair), _RENAMED.items(), key)] = tensor
    autoencoder.load_state_dict(state)
    return autoencoder.eval()


EPOCHS = (4, 5)


def splits(channels: int = 1, size: int = 28, count: int = 30) -> ImageSplits:
    draws = torch.Generator().manual_seed(0)

    def split() -> Split:
        images = torch.randint(256, (count, channels, size, size), generator=draws)
        labels = torch.randint(10, (count,), generator=draws)
        return Split(images.to(torch.uint8), labels, torch.arange(count))

    return ImageSplits(split(), split(), split(), 10, (0.5,) * channels, (0.25,) * channels)


def zoo(network: nn.Module, count: int = 10, missing: int = 0) -> Zoo:
    """Networks near one of two, whose accuracy grows with the seed."""
    draws = torch.Generator().manual_seed(0)

    def near(state: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            n: x + 0.05 * torch.randn(x.shape, generator=draws) if x.is_floating_point() else x
            for n, x in state.items()
        }

    centres = [near(dict(network.state_dict())), near(dict(network.state_dict()))]
    members = []
    for seed in range(count):
        kept = {
            epoch: Checkpoint(near(centres[seed % 2]), seed / count + epoch / 1000, None)
            for epoch in EPOCHS
        }
        last = kept[EPOCHS[-1]].weights
        members.append(ZooMember(seed, last, last, seed / count, kept))
    return Zoo(members, missing)


def target(network: nn.Module) -> Target:
    return Target("some", {}, "mnist", {}, {}, 10, anatomy(network))


def fitted(
    options: dict[str, Any],
    network: nn.Module | None = None,
    networks: Zoo | None = None,
    size: int = 28,
) -> tuple[HyperRepresentation, Artifact, nn.Module]:
    """A fit of a tiny autoencoder, its artifact, and a network to initialise."""
    network = zoo_cnn() if network is None else network
    tiny = {
        "width": 16, "feed_forward": 16, "layers": 1, "heads": 2, "latent": 8,
        "training_epochs": 3, "batch_size": 4, "prior_steps": 20, "preset": "small",
        "networks": 10, "epochs": 5, "checkpoints": list(EPOCHS),
    }  # fmt: skip
    initialiser = HyperRepresentation(HyperRepresentationConfig(**{**tiny, **options}))
    channels = next(x for x in network.modules() if isinstance(x, nn.Conv2d)).in_channels
    inputs = FitInputs(
        target(network),
        (zoo(network) if networks is None else networks, splits(channels, size)),
        torch.Generator().manual_seed(0),
        network=network,
    )
    return initialiser, initialiser.fit(inputs), network


def initialised(
    initialiser: HyperRepresentation,
    artifact: Artifact,
    network: nn.Module,
    seed: int = 0,
    size: int = 28,
) -> CoverageMap:
    draws = torch.Generator().manual_seed(seed)
    channels = next(x for x in network.modules() if isinstance(x, nn.Conv2d)).in_channels
    images = torch.randn(20, channels, size, size, generator=draws)
    batch = Batch(images, torch.zeros(20, dtype=torch.long))
    job = Initialisation(anatomy(network), draws, batch, artifact, seed)
    return initialiser.initialise(network, job)
