"""The models `torchvision/NAME`: every classifier of `torchvision.models`, by torchvision's name.

Source: torchvision, whose page on each model names the paper.
Deviations: auxiliary classifiers (GoogLeNet, Inception v3) are left out, because the harness
trains on one output.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from initbench.errors import unknown_name
from initbench.models.library import (
    LibraryConfig,
    adapt_channels,
    loading_weights,
    version_with,
)
from initbench.models.model import Model
from initbench.plugin.hooks import Kind, hookimpl
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import torch

FAMILY = "torchvision"

_PAGE = "https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.{}.html"

_SIZE_OPTIONS = {"vit": "image_size", "maxvit": "input_size"}
"""How architectures whose parameters depend on the image size are told it, by their first word."""


class TorchvisionModel(Model[LibraryConfig]):
    """A classifier of torchvision; each name is a subclass."""

    architecture: ClassVar[str]
    licence = "BSD-3-Clause (torchvision)"
    version = version_with("1", "torchvision")
    Config = LibraryConfig

    def image_size(self) -> int:
        return self.config.image_size or self._own_size()

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return the network; with stored weights, its head is new where classes are not 1,000.

        Raises:
            UserError: `pretrained` is set, and the weights could not be loaded.
        """
        from torchvision import models

        options = self._size_options(image_size)
        if self.config.pretrained:
            with loading_weights(self.name):
                network = models.get_model(
                    self.architecture, weights="DEFAULT", progress=False, **options
                )
            _adapt_head(network, classes)
        else:
            network = models.get_model(
                self.architecture, weights=None, num_classes=classes, **options
            )
        _drop_auxiliary_heads(network)
        if channels != 3:
            network.transform_input = False  # Inception's change of normalisation, for RGB only
            adapt_channels(network, channels)
        return network  # type: ignore[no-any-return]

    def _own_size(self) -> int:
        """Return the size that the weights were made for, of several ones the smallest."""
        from torchvision import models

        weights = models.get_model_weights(self.architecture)
        chosen = [weights.DEFAULT] if self.config.pretrained else list(weights)
        return min(int(entry.transforms.keywords["crop_size"]) for entry in chosen)

    def _size_options(self, image_size: int) -> dict[str, Any]:
        option = _SIZE_OPTIONS.get(self.architecture.partition("_")[0])
        if option is None:
            return {}
        return {option: image_size if option == "image_size" else (image_size, image_size)}


@hookimpl
def initbench_names(kind: str) -> list[str]:
    """Name every model of the family."""
    return [f"{FAMILY}/{name}" for name in _architectures()] if kind == Kind.MODEL else []


@hookimpl
def initbench_provide(kind: str, name: str) -> type[TorchvisionModel] | None:
    """Provide `torchvision/NAME` as a model class.

    Raises UserError, with the closest names, where torchvision has no such classifier.
    """
    family, _, architecture = name.partition("/")
    if kind != Kind.MODEL or family != FAMILY:
        return None
    if architecture not in _architectures():
        raise unknown_name(f"classifier of {FAMILY}", architecture, _architectures())
    members = {
        "architecture": architecture,
        "name": name,
        "summary": f"{architecture} as torchvision implements it",
        "citation": Citation(f"torchvision.models.{architecture}", _PAGE.format(architecture)),
    }
    return type(architecture, (TorchvisionModel,), members)


def _architectures() -> list[str]:
    from torchvision import models

    return models.list_models(module=models)  # type: ignore[no-any-return]


def _adapt_head(network: torch.nn.Module, classes: int) -> None:
    """Replace the last layer by a fresh one, where it tells another number of classes apart."""
    from torch import nn

    layers = nn.Linear | nn.Conv2d
    name, head = [(n, m) for n, m in network.named_modules() if isinstance(m, layers)][-1]
    fresh: nn.Module
    if isinstance(head, nn.Linear):
        if head.out_features == classes:
            return
        fresh = nn.Linear(head.in_features, classes, bias=head.bias is not None)
    elif isinstance(head, nn.Conv2d):
        if head.out_channels == classes:
            return
        fresh = nn.Conv2d(head.in_channels, classes, kernel_size=1, bias=head.bias is not None)
    network.set_submodule(name, fresh)


def _drop_auxiliary_heads(network: torch.nn.Module) -> None:
    if hasattr(network, "aux_logits"):
        network.aux_logits = False  # type: ignore[assignment]
        for name in ("aux1", "aux2", "AuxLogits"):
            if hasattr(network, name):
                setattr(network, name, None)
