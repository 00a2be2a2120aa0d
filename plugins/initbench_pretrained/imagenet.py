"""Weights of networks that were trained on ImageNet, from files (Knyazev 2022, table 1).

Everything but the head is copied, statistics of batch norm included; the head stays as the model
made it. Where a kernel of the network is smaller, as that of a stem for small images is, its centre
is taken, as in the released code.

Nothing is downloaded. The files are those of torchvision, whose names end with the first digits of
their SHA-256. They are looked for in `pretrained/` of the data folder, and where torchvision keeps
what it downloads when it is asked to.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from initbench.api import (
    Anatomy,
    Citation,
    Config,
    CoverageMap,
    Initialisation,
    Initialiser,
    LayerRole,
    Scope,
    Support,
    UnsupportedError,
)

if TYPE_CHECKING:
    import torch

FOLDER = "pretrained"
"""Below the data folder."""

_HOW_TO_GET = (
    "`python -c \"import torchvision; torchvision.models.resnet50(weights='IMAGENET1K_V1')\"` "
    "fetches that of ResNet-50, `convnext_base` that of ConvNeXt-Base"
)
_DIGITS = re.compile(r"-([0-9a-f]{8})\.pth")


class ImageNetConfig(Config):
    """The files, of which the one that fits the network is taken."""

    files: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="paths, or names of files of torchvision"),
    ] = ("resnet50-0676ba61.pth", "convnext_base-6075fbad.pth")
    sha256: Annotated[
        dict[str, str],
        Field(validate_default=True, description="of files that are there; found out"),
    ] = {}

    @field_validator("sha256")
    @classmethod
    def _of_the_files(cls, given: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        found = {}
        for name in info.data.get("files", ()):
            if path := find(name):
                found[name] = _checked_digest(path)
                if given.get(name, found[name]) != found[name]:
                    raise ValueError(
                        f"`{path}` has the SHA-256 {found[name]}, expected {given[name]}"
                    )
        return {**given, **found}


class ImageNetPretrained(Initialiser[ImageNetConfig]):
    """Copies a network that was trained on ImageNet, without its head."""

    name = "imagenet_pretrained"
    scope = Scope.PRETRAINED
    summary = "the weights of a network trained on ImageNet, read from a file"
    citation = Citation(
        "Knyazev: Pretraining a Neural Network before Knowing Its Architecture. ICML workshop on "
        "pre-training, 2022",
        "https://arxiv.org/abs/2207.10049",
    )
    version = "1"
    Config = ImageNetConfig

    def missing(self) -> str:
        if any(find(name) for name in self.config.files):
            return ""
        names = ", ".join(f"`{name}`" for name in self.config.files)
        return (
            f"there is none of {names}, neither in `{FOLDER}/` of INITBENCH_DATA nor where "
            f"torchvision keeps its files; {_HOW_TO_GET}"
        )

    def supports(self, anatomy: Anatomy) -> Support:
        try:
            self._fitting(_parameters(anatomy))
        except UnsupportedError as error:
            return Support.no(str(error))
        return Support.yes()

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        import torch

        head = _head(job.anatomy)
        trained = self._fitting(
            {name: tuple(x.shape) for name, x in network.state_dict().items() if name not in head}
        )
        coverage = CoverageMap.of(network)
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if name not in head:
                    tensor.copy_(centre(trained[name], tensor.shape))
        for name in coverage.elements:
            if name in head:
                coverage.untouched(name, "head: as the model made it")
            else:
                coverage.generated(name, "trained on ImageNet")
        coverage.sets_buffers("running statistics of the trained network")
        return coverage

    def _fitting(self, expected: Mapping[str, tuple[int, ...]]) -> Mapping[str, torch.Tensor]:
        """Return the tensors of the file that has all that is expected.

        Raises UnsupportedError if none has, or one cannot be read.
        """
        reasons = []
        for name in self.config.files:
            path = find(name)
            if path is None:
                reasons.append(f"`{name}` is not there")
                continue
            trained = _read(path, self.config.sha256.get(name))
            wrong = next((x for x in expected if not _fits(trained.get(x), expected[x])), None)
            if wrong is None:
                return trained
            reasons.append(f"`{name}` has no `{wrong}` of shape {expected[wrong]}")
        raise UnsupportedError(f"no file fits the network: {', '.join(reasons)}")


def find(name: str) -> Path | None:
    """Return a file: a path, or in the data folder, or where torchvision keeps it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "torch"
    hub = Path(os.environ.get("TORCH_HOME") or cache).expanduser() / "hub" / "checkpoints"
    data = os.environ.get("INITBENCH_DATA")
    places = [Path(name).expanduser(), *([Path(data) / FOLDER / name] if data else []), hub / name]
    return next((path for path in places if path.is_file()), None)


def centre(trained: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the centre of a kernel, or the tensor itself where it has this shape."""
    for axis in range(2, len(shape)):
        first = (trained.shape[axis] - shape[axis]) // 2
        trained = trained.narrow(axis, first, shape[axis])
    return trained


def _fits(trained: torch.Tensor | None, shape: tuple[int, ...]) -> bool:
    if trained is None or trained.ndim != len(shape) or trained.shape[:2] != shape[:2]:
        return False
    return all(
        size >= wanted and (size - wanted) % 2 == 0
        for size, wanted in zip(trained.shape[2:], shape[2:], strict=True)
    )


def _parameters(anatomy: Anatomy) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights but that of the head."""
    return {
        layer.weight: layer.shape
        for layer in anatomy
        if layer.weight and layer.role is not LayerRole.HEAD
    }


def _head(anatomy: Anatomy) -> set[str]:
    return {
        name
        for layer in anatomy
        if layer.role is LayerRole.HEAD
        for name in (layer.weight, layer.bias)
        if name
    }


@lru_cache(maxsize=2)
def _read(path: Path, sha256: str | None) -> Mapping[str, torch.Tensor]:
    import torch

    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        raise UnsupportedError(
            f"`{path}`: expected a PyTorch file of tensors; it is damaged, or holds objects, which "
            f"are never loaded because they could run code ({type(error).__name__})"
        ) from error
    is_state = isinstance(content, Mapping) and all(
        isinstance(tensor, torch.Tensor) for tensor in content.values()
    )
    if not is_state:
        raise UnsupportedError(f"`{path}`: expected a mapping of names to tensors")
    return content  # type: ignore[no-any-return]


def _checked_digest(path: Path) -> str:
    """Return the SHA-256 of a file; raise ValueError if its name says another one."""
    stat = path.stat()
    found = _digest(path, stat.st_size, stat.st_mtime_ns)
    said = _DIGITS.search(path.name)
    if said and not found.startswith(said[1]):
        raise ValueError(
            f"`{path}` is damaged, or another file: its SHA-256 is {found}, its name says {said[1]}"
        )
    return found


@lru_cache(maxsize=8)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
