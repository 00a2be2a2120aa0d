"""The multi-layer perceptron: linear layers with an activation between them.

Source: Rumelhart, Hinton & Williams 1986; own implementation.
Deviations: none. `widths: [500, 500, 500, 500, 500], activation: tanh` on 28 x 28 images is the
main network of Chang et al. 2020 ("Principled Weight Initialization for Hypernetworks"), returning
logits instead of the softmax.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from initbench.models.activations import ActivationName, activation_module
from initbench.models.model import Model
from initbench.plugin.initialiser import Citation, Config

if TYPE_CHECKING:
    import torch


class MLPConfig(Config):
    """The widths of the hidden layers, none for a linear classifier, and what follows each."""

    widths: Annotated[
        list[Annotated[int, Field(ge=1)]], Field(description="of the hidden layers")
    ] = [128, 128]
    activation: Annotated[ActivationName, Field(description="after each hidden layer")] = "relu"


class MLP(Model[MLPConfig]):
    """Hidden layers of the given widths, then a linear head; the image is flattened first."""

    name = "mlp"
    summary = "fully connected layers of configurable widths"
    citation = Citation(
        "Rumelhart, Hinton, Williams: Learning representations by back-propagating errors. "
        "Nature 323, 1986",
        "https://doi.org/10.1038/323533a0",
    )
    licence = "Apache-2.0"
    version = "1"
    Config = MLPConfig

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        from torch import nn

        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        widths = [channels * image_size**2, *self.config.widths]
        for i, (inputs, outputs) in enumerate(pairwise(widths), start=1):
            layers[f"linear{i}"] = nn.Linear(inputs, outputs)
            layers[f"activation{i}"] = activation_module(self.config.activation)
        layers["head"] = nn.Linear(widths[-1], classes)
        return nn.Sequential(layers)
