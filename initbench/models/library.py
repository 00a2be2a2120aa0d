"""What the models of other libraries have in common: versions, stems, channels, stored weights."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.errors import UserError
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    import torch

IMAGENET_SIZE = 224

ImageSize = Annotated[
    Annotated[int, Field(ge=8, le=1024)] | None,
    Field(description="height and width the images are brought to; without it, the model's own"),
]


class StemConfig(Config):
    """For which images a network was made, and how large they are."""

    stem: Annotated[
        Literal["imagenet", "cifar"],
        Field(description="as published (imagenet), or for images of 32 x 32 pixels (cifar)"),
    ] = "imagenet"
    image_size: ImageSize = None

    @property
    def size(self) -> int | None:
        """The image size asked for; 224 for the stem of ImageNet, else whatever the data have."""
        if self.image_size is None and self.stem == "imagenet":
            return IMAGENET_SIZE
        return self.image_size


class LibraryConfig(Config):
    """Whether a network starts with the library's own weights, and how large the images are."""

    pretrained: Annotated[
        bool, Field(description="start with the weights that the library downloads for this name")
    ] = False
    image_size: ImageSize = None


def version_with(own: str, library: str) -> str:
    """Return the version `own` of a model together with that of the library that provides it.

    The same name may compute something else in another version of the library. Which build of
    it is installed (2.1+cpu, 2.1+cu128) makes no difference.
    """
    return f"{own} with {library} {metadata.version(library).partition('+')[0]}"


def adapt_channels(network: torch.nn.Module, channels: int) -> None:
    """Let a network for RGB images see images of `channels` channels, in place.

    The filters of its first convolution are kept. For grey images they are summed over the
    colours: the network answers as if the image came in three equal channels. For other numbers
    of channels the colours recur in turn, scaled to keep their sum. timm does the same.
    """
    from torch import nn

    stem = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    colours = stem.in_channels
    if channels == colours:
        return
    weight = stem.weight.detach()
    if channels == 1:
        weight = weight.sum(1, keepdim=True)
    else:
        recurring = weight.repeat(1, math.ceil(channels / colours), 1, 1)
        weight = recurring[:, :channels] * (colours / channels)
    stem.in_channels = channels
    stem.weight = nn.Parameter(weight)


@contextmanager
def loading_weights(model: str) -> Iterator[None]:
    """Let a library load the weights of `model`, by name, without unpickling objects.

    Raises:
        UserError: the library could not load them, for whatever reason.
    """
    variable = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # the libraries call `torch.load` themselves
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        yield
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        raise UserError(
            f"model `{model}`: its pretrained weights could not be loaded "
            f"({type(error).__name__}: {reason}); they are downloaded at their first use, so "
            "connect this machine to the network, or set `pretrained: false`"
        ) from error
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
