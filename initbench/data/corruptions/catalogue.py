"""The catalogue of corruptions: all nineteen of CIFAR-10-C, by name and in official order.

D. Hendrycks and T. Dietterich: Benchmarking neural network robustness to common corruptions and
perturbations. ICLR 2019. Fifteen are the benchmark, four more are meant for validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol

from initbench.errors import UserError, unknown_name

if TYPE_CHECKING:
    from numpy.random import RandomState

    from initbench.data.corruptions.pixels import Bytes

Family = Literal["noise", "blur", "weather", "digital"]

SEVERITIES = (1, 2, 3, 4, 5)

_IMAGE = (32, 32, 3)


class Apply(Protocol):
    """What corrupts images (n, 32, 32, 3), as strongly as `severity` says, drawing from `draws`."""

    def __call__(self, images: Bytes, severity: int, draws: RandomState) -> Bytes: ...


@dataclass(frozen=True)
class Corruption:
    """One way in which images go bad."""

    name: str
    family: Family
    main: bool
    """One of the fifteen of the benchmark; the others are meant for validation."""
    module: str
    """Where in this package the function of the same name is."""

    @property
    def apply(self) -> Apply:
        """The function itself; its module, and with it SciPy or Pillow, is imported only now."""
        function: Apply = getattr(import_module(f"{__package__}.{self.module}"), self.name)
        return function


CORRUPTIONS: dict[str, Corruption] = {
    corruption.name: corruption
    for corruption in (
        Corruption("gaussian_noise", "noise", True, "noise"),
        Corruption("shot_noise", "noise", True, "noise"),
        Corruption("impulse_noise", "noise", True, "noise"),
        Corruption("defocus_blur", "blur", True, "blur"),
        Corruption("glass_blur", "blur", True, "blur"),
        Corruption("motion_blur", "blur", True, "blur"),
        Corruption("zoom_blur", "blur", True, "blur"),
        Corruption("snow", "weather", True, "weather"),
        Corruption("frost", "weather", True, "weather"),
        Corruption("fog", "weather", True, "weather"),
        Corruption("brightness", "weather", True, "digital"),
        Corruption("contrast", "digital", True, "digital"),
        Corruption("elastic_transform", "digital", True, "elastic"),
        Corruption("pixelate", "digital", True, "digital"),
        Corruption("jpeg_compression", "digital", True, "digital"),
        Corruption("speckle_noise", "noise", False, "noise"),
        Corruption("gaussian_blur", "blur", False, "blur"),
        Corruption("spatter", "weather", False, "spatter"),
        Corruption("saturate", "digital", False, "digital"),
    )
}
"""In the order of the paper, which groups by family: noise, blur, weather, digital; then extra."""


def corrupt(images: Bytes, name: str, severity: int, draws: RandomState) -> Bytes:
    """Return new images with the corruption `name`.

    Args:
        images: (n, 32, 32, 3), uint8, RGB, channels last.
        name: a key of `CORRUPTIONS`.
        severity: 1 to 5.
        draws: the stream of random numbers, which goes on where this call leaves it.

    Raises:
        UserError: unknown name or severity, or images of another type or shape.
    """
    import numpy as np

    corruption = CORRUPTIONS.get(name)
    if corruption is None:
        raise unknown_name("corruption", name, CORRUPTIONS)
    if severity not in SEVERITIES:
        raise UserError(f"corruption `{name}`: expected a severity from 1 to 5, got {severity}")
    if images.dtype != "uint8" or images.shape[1:] != _IMAGE or not len(images):
        raise UserError(
            f"corruption `{name}`: expected uint8 images of shape (n, 32, 32, 3), one at least, "
            f"got {images.dtype} of shape {images.shape}; resize them to 32 x 32 pixels, for which "
            "its constants are made, and put the channels last"
        )
    # The last bit of a mean depends on the order in which memory is read.
    return corruption.apply(np.ascontiguousarray(images), severity, draws)
