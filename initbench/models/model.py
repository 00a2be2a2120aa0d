"""The model contract: an architecture that suites can name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic

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
    api_version: ClassVar[int] = API_VERSION
    Config: ClassVar[type[Config]] = Config

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def image_size(self) -> int | None:
        """Return the height and width the network needs, or None where any size will do."""
        return None

    @abstractmethod
    def build(self, channels: int, image_size: int, classes: int) -> torch.nn.Module:
        """Return a fresh network; its constructor draws from the global generator as usual."""
