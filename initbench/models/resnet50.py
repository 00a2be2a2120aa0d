"""ResNet-50, as published or for images of 32 x 32 pixels.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", table 1; implementation of
torchvision (the stride is in the 3 x 3 convolution of a bottleneck, not in the 1 x 1 before it).
Deviations: `stem: cifar` is the variant of Knyazev 2022: the stem is the central 3 x 3 part of the
7 x 7 filters, with stride 1 and padding 1, and no max pooling follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from initbench.models.library import StemConfig, adapt_channels, version_with
from initbench.models.model import Model
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import torch


class ResNet50(Model[StemConfig]):
    """Bottleneck blocks; with 10 classes 23,528,522 parameters, 23,520,842 with the small stem."""

    name = "resnet50"
    summary = "ResNet-50 of torchvision, for ImageNet or 32 x 32 pixels"
    citation = Citation(
        "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition. CVPR 2016",
        "https://arxiv.org/abs/1512.03385",
    )
    licence = "BSD-3-Clause (torchvision)"
    version = version_with("1", "torchvision")
    channels_last = True
    Config = StemConfig

    def image_size(self) -> int | None:
        return self.config.size

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return the network; any image size will do."""
        from torch import nn
        from torchvision import models

        network = models.resnet50(weights=None, num_classes=classes)
        if self.config.stem == "cifar":
            published = network.conv1.weight.detach()
            stem = nn.Conv2d(3, published.shape[0], 3, stride=1, padding=1, bias=False)
            stem.weight = nn.Parameter(published[:, :, 2:5, 2:5].clone())
            network.conv1, network.maxpool = stem, nn.Identity()
        adapt_channels(network, channels)
        return network  # type: ignore[no-any-return]
