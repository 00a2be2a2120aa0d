"""The zoo CNN: the small network that weight zoos of 28 x 28 images are made of.

Source: Schürholt et al. 2022, "Hyper-Representations for Pre-Training and Transfer Learning",
table 3; own implementation.
Deviations: the network returns logits, not log-probabilities. With cross entropy as the loss this
is the same function, because the loss takes the logarithm of the softmax itself.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.errors import UserError
from initbench.models.activations import ActivationName, activation_module
from initbench.models.model import Model
from initbench.plugin.initialiser import Citation, Config

if TYPE_CHECKING:
    import torch

IMAGE_SIZE = 28
"""Any other size changes the 36 inputs of the first linear layer."""


class ZooCNNConfig(Config):
    """What a zoo varies; MNIST zoos use tanh without dropout."""

    activation: Annotated[
        ActivationName, Field(description="after both poolings, the last convolution, linear 1")
    ] = "tanh"
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="rate after all activations but the third")
    ] = 0.0


class ZooCNN(Model[ZooCNNConfig]):
    """Three convolutions and two linear layers: 2,464 parameters for grey images, 2,864 for RGB."""

    name = "zoo_cnn"
    summary = "CNN of 2,464 parameters on 28 x 28 images, from the weight zoos"
    citation = Citation(
        "Schürholt, Knyazev, Giró-i-Nieto, Borth: Hyper-Representations for Pre-Training and "
        "Transfer Learning. ICML Workshop on Pre-training, 2022",
        "https://arxiv.org/abs/2207.10951",
    )
    licence = "Apache-2.0"
    version = "1"
    channels_last = "cpu"  # where pooling is several times faster
    Config = ZooCNNConfig

    def image_size(self) -> int:
        return IMAGE_SIZE

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return the network; pooling comes before the activation, as in the zoos."""
        from torch import nn

        if image_size != IMAGE_SIZE:
            raise UserError(
                f"model `{self.name}`: expected images of {IMAGE_SIZE} x {IMAGE_SIZE} pixels, got "
                f"{image_size} x {image_size}; resize the data set to {IMAGE_SIZE}"
            )
        name, rate = self.config.activation, self.config.dropout
        # Dropout follows the activations 1, 2 and 4, but not the last convolution.
        return nn.Sequential(
            OrderedDict[str, nn.Module](
                conv1=nn.Conv2d(channels, 8, 5),  # 28 -> 24
                pool1=nn.MaxPool2d(2),  # -> 12
                activation1=activation_module(name),
                dropout1=nn.Dropout(rate),
                conv2=nn.Conv2d(8, 6, 5),  # -> 8
                pool2=nn.MaxPool2d(2),  # -> 4
                activation2=activation_module(name),
                dropout2=nn.Dropout(rate),
                conv3=nn.Conv2d(6, 4, 2),  # -> 3
                activation3=activation_module(name),
                flatten=nn.Flatten(),  # 4 x 3 x 3 -> 36, channel by channel
                linear1=nn.Linear(36, 20),
                activation4=activation_module(name),
                dropout3=nn.Dropout(rate),
                linear2=nn.Linear(20, classes),
            )
        )
