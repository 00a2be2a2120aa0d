"""The models `timm/NAME`: every architecture of timm, by timm's name.

A name may carry the tag of stored weights, as in `timm/resnet18.a1_in1k`; without one, timm's
default for the architecture counts.

Source: timm (PyTorch Image Models), whose file on each family names the papers.
Deviations: none.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from initbench.errors import UserError, unknown_name
from initbench.models.library import LibraryConfig, loading_weights, version_with
from initbench.models.model import Model
from initbench.plugin.hooks import Kind, hookimpl
from initbench.plugin.initialiser import Citation

if TYPE_CHECKING:
    import torch

FAMILY = "timm"


class TimmModel(Model[LibraryConfig]):
    """An architecture of timm; each name is a subclass."""

    architecture: ClassVar[str]
    Config = LibraryConfig

    def image_size(self) -> int:
        return self.config.image_size or self._own_size()[-1]

    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return the network; timm itself adapts stored weights to channels and classes.

        Raises:
            UserError: `pretrained` is set, and the weights could not be loaded.
        """
        import timm

        options = {"in_chans": channels, "num_classes": classes, **self._size_options(image_size)}
        network: torch.nn.Module
        if self.config.pretrained:
            with loading_weights(self.name):
                network = timm.create_model(self.architecture, pretrained=True, **options)
        else:
            network = timm.create_model(self.architecture, pretrained=False, **options)
        return network

    def _own_size(self) -> tuple[int, int]:
        """Return height and width of the images that timm's default configuration expects."""
        _, height, width = _description(self.architecture).input_size
        return height, width

    def _size_options(self, image_size: int) -> dict[str, Any]:
        """Return what tells the image size to an architecture whose parameters depend on it."""
        if (image_size, image_size) == self._own_size():
            return {}
        fixed = _description(self.architecture).fixed_input_size
        return {"img_size": image_size} if fixed else {}


@hookimpl
def initbench_names(kind: str) -> list[str]:
    """Name every model of the family, none where timm is not installed."""
    if kind != Kind.MODEL or find_spec("timm") is None:
        return []
    import timm

    return [f"{FAMILY}/{name}" for name in timm.list_models()]


@hookimpl
def initbench_provide(kind: str, name: str) -> type[TimmModel] | None:
    """Provide `timm/NAME` as a model class.

    Raises UserError where timm is not installed, or has no such architecture.
    """
    family, _, architecture = name.partition("/")
    if kind != Kind.MODEL or family != FAMILY:
        return None
    if find_spec("timm") is None:
        raise UserError(
            f"model `{name}` needs the package `timm`, which is not installed; "
            "install it: pip install 'initbench[timm]'"
        )
    import timm

    architectures = timm.list_models()
    if architecture not in architectures and architecture not in timm.list_pretrained():
        raise unknown_name(f"model of {FAMILY}", architecture, architectures)
    plain = architecture.partition(".")[0]
    module = timm.models.model_entrypoint(plain).__module__
    source = f"blob/v{timm.__version__}/{module.replace('.', '/')}.py"
    members = {
        "architecture": architecture,
        "name": name,
        "summary": f"{architecture} as timm implements it",
        "citation": Citation(
            f"Wightman: PyTorch Image Models, {module}",
            f"https://github.com/huggingface/pytorch-image-models/{source}",
        ),
        "licence": _licence(architecture),
        "version": version_with("1", "timm"),
    }
    return type(architecture, (TimmModel,), members)


def _licence(architecture: str) -> str:
    weights = _description(architecture).license
    return "Apache-2.0 (timm)" + (f"; stored weights: {weights}" if weights else "")


def _description(architecture: str) -> Any:
    """Return what timm knows about the default or the tagged weights of an architecture."""
    import timm

    return timm.get_pretrained_cfg(architecture)
