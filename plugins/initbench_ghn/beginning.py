"""What a graph hypernetwork is before its training (Harder et al. 2023, section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from initbench_ghn.architecture import Architecture, Noise
from initbench_ghn.checkpoint import load
from initbench_ghn.files import find
from initbench_ghn.hyperfan import hyperfan
from initbench_ghn.network import GHN
from initbench_ghn.options import TrainedConfig

CHANNELS = (64, 64)
"""Outputs and inputs of what the decoder decodes."""


def begun(
    config: TrainedConfig, noise: Noise | None, classes: int, generator: torch.Generator
) -> tuple[GHN, str]:
    """Return a hypernetwork to train, and where its weights are from."""
    path = find(config.start) if config.start else None
    if path is None:
        whole = f"no checkpoint `{config.start}`" if config.start else "as asked for"
        scratch = Architecture(num_classes=classes)
        return _made(config, noise, scratch, {}, generator), f"graph network from scratch: {whole}"
    trained = load(path)
    known = {n: x for n, x in trained.state_dict().items() if not n.startswith("decoder.")}
    ghn = _made(config, noise, trained.architecture, known, generator)
    return ghn, f"all but the decoder of weights from `{config.start}`"


def _made(
    config: TrainedConfig,
    noise: Noise | None,
    like: Architecture,
    known: Mapping[str, Tensor],
    generator: torch.Generator,
) -> GHN:
    """Return a hypernetwork with the decoder of this method.

    Weights that are not known are those of PyTorch; those of the decoder may be hyperfan's.
    """
    tile = (*CHANNELS, config.kernel, config.kernel)
    architecture = replace(like, decoder_shape=tile, noise=noise)
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        ghn = GHN(architecture)
    ghn.load_state_dict(dict(known), strict=False)
    if config.hyperfan:
        hyperfan(ghn, generator)
    return ghn
