"""The model contract: an architecture that suites can name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, Literal

from initbench.plugin.initialiser import API_VERSION, Citation, Config, ConfigT

if TYPE_CHECKING:
    import torch


class Model(ABC, Generic[ConfigT]):
    """A named architecture; an instance is one configured variant."""

    name: ClassVar[str]
    summary: ClassVar[str]
    citation: ClassVar[Citation]
    licence: ClassVar[str]
    version: ClassVar[str | None] = None
    """Bump it when the function computed for given weights changes."""
    channels_last: ClassVar[bool | Literal["cpu"]] = False
    """Whether the network trains faster with channels last in memory, on a CPU at least, and its
    forward pass can do that. It is laid out so after its initialisation: what a generator draws
    into a tensor would otherwise depend on the layout, and that on the version of torch."""
    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def image_size(self) -> int | None:
        """Return the height and width the network needs, or None where any size will do."""
        return None

    def remark(self, channels: int, image_size: int, classes: int) -> str:
        """Return what a user should know before such networks are built, such as their memory.

        A clause that follows the model's label; empty where there is nothing to say.
        """
        return ""

    def laid_out(self, network: torch.nn.Module) -> torch.nn.Module:
        """Return a network of this model in the layout in which it is trained where it lies."""
        on_cpu = all(parameter.device.type == "cpu" for parameter in network.parameters())
        if not self.channels_last or (self.channels_last == "cpu" and not on_cpu):
            return network
        import torch

        return network.to(memory_format=torch.channels_last)

    @abstractmethod
    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return a fresh network; its constructor draws from the global generator as usual."""
