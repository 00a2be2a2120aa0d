"""How well a vector of weights does on images: accuracy, with fitting statistics where needed.

Running statistics of batch norms are in no token (`tokens`). They are estimated from training
images, in one pass, whenever a vector becomes a network.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call

from initbench.api import ImageSplits, Split
from initbench_hyperrep.tokens import TokenTable

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

MOST_IMAGES = 1000
"""Of the validation split, that accuracies are measured on."""


def has_statistics(network: nn.Module) -> bool:
    """Whether running statistics are part of the network."""
    return any(isinstance(x, _NORMS) and x.track_running_stats for x in network.modules())


@torch.no_grad()
def estimate_statistics(network: nn.Module, images: Tensor) -> None:
    """Set the running statistics of batch norms to those of images (images, ...), in place."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, _NORMS)]
    norms = [norm for norm in norms if norm.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0
        norm.train()
    network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, mode in modes.items():
        module.training = mode


class Exam:
    """The validation images of a zoo, and a network to put vectors into."""

    def __init__(
        self, network: nn.Module, table: TokenTable, splits: ImageSplits, statistics: int
    ) -> None:
        self.network, self.table = copy.deepcopy(network).cpu().eval(), table
        self.images, self.labels = pixels(splits.validation, splits, MOST_IMAGES)
        self.needs_statistics = has_statistics(network)
        self.statistics, _ = pixels(splits.train, splits, statistics)

    @torch.no_grad()
    def accuracy(self, vector: Tensor) -> float:
        """Return the share of images that the network of a vector (size,) gets right."""
        state = self.table.state(vector)
        if self.needs_statistics:
            self.network.load_state_dict(state, strict=False)
            estimate_statistics(self.network, self.statistics)
        logits = torch.cat(
            [functional_call(self.network, state, (part,)) for part in self.images.split(250)]
        )
        return float((logits.argmax(1) == self.labels).double().mean())


def pixels(split: Split, splits: ImageSplits, most: int) -> tuple[Tensor, Tensor]:
    """Return the first images of a split as networks see them, and their labels."""
    count = min(most, len(split))
    mean, std = (torch.tensor(x)[:, None, None] for x in (splits.mean, splits.std))
    images = split.images[:count].float() / 255
    return (images - mean) / std, split.labels[:count]
