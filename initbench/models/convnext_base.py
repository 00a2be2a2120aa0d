"""ConvNeXt-B, as published or for images of 32 x 32 pixels.

Source: Liu et al. 2022, "A ConvNet for the 2020s", section 2; implementation of torchvision.
Deviations: `stem: cifar` is the variant of Knyazev 2022: the 4 x 4 convolution of the stem has
stride 1 instead of 4; the parameters are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.errors import UserError
from initbench.models.library import StemConfig, adapt_channels, version_with
from initbench.models.model import Model
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import torch

SMALLEST = {"imagenet": 32, "cifar": 11}
"""By stem: the image size of which 1 x 1 positions are left at the end."""


class ConvNeXtBaseConfig(StemConfig):
    """The stem, the image size, and how many blocks are skipped in training."""

    stochastic_depth: Annotated[
        float,
        Field(ge=0, lt=1, description="rate at which the last block is skipped in training"),
    ] = 0.5


class ConvNeXtBase(Model[ConvNeXtBaseConfig]):
    """36 blocks of depthwise 7 x 7 convolutions; with 10 classes 87,576,714 parameters."""

    name = "convnext_base"
    summary = "ConvNeXt-B of torchvision, for ImageNet or 32 x 32 pixels"
    citation = Citation(
        "Liu, Mao, Wu, Feichtenhofer, Darrell, Xie: A ConvNet for the 2020s. CVPR 2022",
        "https://arxiv.org/abs/2201.03545",
    )
    licence = "BSD-3-Clause (torchvision)"
    version = version_with("1", "torchvision")
    channels_last = True
    Config = ConvNeXtBaseConfig

    def image_size(self) -> int | None:
        return self.config.size

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return the network.

        Raises UserError for images that its strides would shrink to nothing.
        """
        from torchvision import models

        if image_size < (smallest := SMALLEST[self.config.stem]):
            raise UserError(
                f"model `{self.name}` with `stem: {self.config.stem}`: expected images of at least "
                f"{smallest} x {smallest} pixels, got {image_size} x {image_size}; set "
                "`image_size`, to which they are then brought"
            )
        network = models.convnext_base(
            weights=None,
            num_classes=classes,
            stochastic_depth_prob=self.config.stochastic_depth,
        )
        if self.config.stem == "cifar":
            network.features[0][0].stride = (1, 1)
        adapt_channels(network, channels)
        return network  # type: ignore[no-any-return]
