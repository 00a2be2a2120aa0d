"""Networks of models that are named outside of a suite, for commands that look at one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from initbench.plugin.configuration import configured
from initbench.plugin.guard import contained
from initbench.plugin.registry import Registry
from initbench.suite.schema import Choice, label_of
from initbench.suite.yaml_reader import read_value

if TYPE_CHECKING:
    import torch

    from initbench.models.anatomy import Anatomy

_IMAGE_SIZE = 32  # unless the model needs another


@dataclass(frozen=True)
class ExampleNetwork:
    """A network without values: shapes only, on the meta device."""

    label: str
    network: torch.nn.Module
    anatomy: Anatomy
    image: tuple[int, int, int]
    """Channels, height and width of what it looks at."""


def example_network(model: str, *, channels: int = 3, classes: int = 10) -> ExampleNetwork:
    """Return a network of a model that is written as in a suite.

    Args:
        model: a name, or a mapping such as `{name: cifar_resnet, depth: 32}`; its `label`, if it
            has one, is how it is called.
        channels: of the images.
        classes: that it tells apart.

    Raises:
        UserError: it is neither, or no installed model, or its configuration does not validate.
        PluginError: it cannot be built.
    """
    import torch

    from initbench.models.tracing import anatomy

    given = read_value(model, "from the command line").plain()
    tree = given if isinstance(given, dict) else {"name": given}
    choice = configured("the model", Choice, tree)
    thing = Registry.installed().model(choice.name, choice.config).thing
    size = thing.image_size() or _IMAGE_SIZE

    def build() -> torch.nn.Module:
        with torch.device("meta"):
            return thing.build(channels, size, classes)

    network = contained(build).result(f"model `{choice.name}`")
    return ExampleNetwork(label_of(choice), network, anatomy(network), (channels, size, size))
