"""PyTorch's default: what the constructors of the layers draw.

Source: PyTorch (Paszke et al. 2019), `reset_parameters` of its modules. Convolutions and linear
layers draw weights and biases uniformly within 1 / sqrt(fan-in), which is LeCun's variance over
three; embeddings are standard normal; norms have scale 1 and shift 0.

The modules themselves are asked, children before parents, the order in which constructors run. So
for a generator seeded with s, a network whose constructor does nothing of its own gets the bits
that `torch.manual_seed(s)` and building it give.
Deviations: what the constructor of a *model* does to its layers afterwards (torchvision's ResNets
draw their convolutions anew) is not repeated.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from initbench.api import (
    Citation,
    Config,
    CoverageMap,
    Initialisation,
    Initialiser,
    LayerKind,
    Scope,
)
from initbench_classical._layers import write

if TYPE_CHECKING:
    import torch


class DefaultConfig(Config):
    """Nothing to configure."""


class Default(Initialiser[DefaultConfig]):
    """Draws every layer anew by PyTorch's own rules."""

    name = "default"
    scope = Scope.POINTWISE
    summary = "PyTorch's own rules: uniform within 1 / sqrt(fan-in)"
    citation = Citation(
        "Paszke et al.: PyTorch: An Imperative Style, High-Performance Deep Learning Library. "
        "NeurIPS 2019",
        "https://arxiv.org/abs/1912.01703",
    )
    version = "1"
    Config = DefaultConfig

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        import torch

        # The rules draw on the parameters' device, in their precision and from the global
        # generator: so they are applied to a copy, with that generator set to ours for a moment.
        fresh = copy.deepcopy(network).to("cpu", torch.float32)
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(job.generator.get_state())
            for module in _children_first(fresh, set()):
                reset = _reset(module)
                if reset is not None:
                    reset()
            job.generator.set_state(torch.get_rng_state())

        coverage = CoverageMap.of(network)
        for layer in job.anatomy:
            module = fresh.get_submodule(layer.name)
            kind = type(module).__name__
            names = [name for name in (layer.weight, layer.bias, *layer.others) if name]
            for name in names:
                if _reset(module) is None:
                    coverage.untouched(name, _why_none(module))
                    continue
                write(network, name, fresh.get_parameter(name).detach())
                if layer.kind is LayerKind.NORM:
                    coverage.rule(name, "scale 1" if name == layer.weight else "shift 0")
                else:
                    coverage.generated(name, f"PyTorch's default of {kind}")
        return coverage


def _children_first(
    module: torch.nn.Module, seen: set[torch.nn.Module]
) -> Iterator[torch.nn.Module]:
    """Yield every module once, in the order in which their constructors end."""
    seen.add(module)
    for child in module.children():
        if child not in seen:
            yield from _children_first(child, seen)
    yield module


def _reset(module: torch.nn.Module) -> Callable[[], object] | None:
    """Return the rule of a module for its own parameters, if it has one.

    It needs the weight, which a layer has not that a hypernetwork generates.
    """
    if _is_weightless(module):
        return None
    rule = getattr(module, "reset_parameters", None)
    if rule is None and type(module).__module__.startswith("torch.nn."):
        rule = getattr(module, "_reset_parameters", None)  # attention's name for it
    return rule


def _is_weightless(module: torch.nn.Module) -> bool:
    return module._parameters.get("weight", module) is None


def _why_none(module: torch.nn.Module) -> str:
    if _is_weightless(module):
        return "its layer has no weight of its own"
    return f"{type(module).__name__} has no `reset_parameters`"
