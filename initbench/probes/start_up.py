"""The start-up microscope: a network before its first step, with one batch of training images.

* Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
  equations 8 and 9: at a good start, activations have the same variance in all layers, and so have
  the gradients that come back.
* He et al. 2015, "Delving deep into rectifiers", equations 5 to 14: the same for networks of ReLUs,
  where activations are the responses of a layer before its activation function. Here as there.

What is called a gradient is that of the loss of one image with respect to the responses of a layer:
the summed loss, so that it does not depend on the size of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from initbench.probes.layers import by_layer, layers_of, nothing
from initbench.probes.probe import Observation, Population, Probe, Subject
from initbench.streams import Stream, generator

if TYPE_CHECKING:
    import torch

    from initbench.data.device_data import Batch, DeviceData
    from initbench.models.anatomy import Layer

Mode = Literal["batch_statistics", "eval"]
"""What batch norm uses before training: the statistics of the batch, as the first step of training
does, or its running ones, which say nothing yet (mean 0, variance 1)."""

DIES = frozenset({"relu", "relu6"})
"""Activations whose output and gradient are zero below zero, so that a unit can be dead."""


@dataclass(frozen=True)
class StartUp(Probe):
    """Runs one batch forwards and backwards through the initial network, which stays as it is.

    The images depend on the seed alone and are not augmented; everything is computed in float32.
    With `batch_statistics` as the default, networks with batch norm are seen as their first step
    sees them; dropout is off in both modes.

    The observation has, by layer: `activation_mean` and `activation_variance`, over images,
    channels and positions; `gradient_variance`; and `dead_units`, the share of units that no
    image activates. A unit is a channel, wherever in the image, or an output of a linear layer.
    A ReLU is called by the layer that came before it. Of the logits there are `logit_entropy`, the
    mean entropy of the predicted probabilities in nats, and `logit_std`, the mean over images of
    the deviation between classes.
    """

    name = "start_up"
    scope = "trial"

    batch: int = 128
    mode: Mode = "batch_statistics"

    def observe(self, population: Population) -> Observation:
        """Return what a batch does to the layers, and the loss's gradient on its way back."""
        (subject,) = population.subjects
        network = subject.network("initial")
        if network is None:
            return nothing("there is no initial network")
        images, labels = self._images(subject, population.data)
        layers = layers_of(network, population.data)
        seen = _Seen()
        logits = self._run(network, layers, images, labels, subject, seen)
        return by_layer(
            {
                "activation_mean": {name: m.mean for name, m in seen.activations.items()},
                "activation_variance": {name: m.variance for name, m in seen.activations.items()},
                "gradient_variance": {n: m.variance for n, m in seen.gradients.items() if m.count},
                "dead_units": {n: 1 - x.double().mean() for n, x in seen.active.items()},
            },
            _of_logits(logits),
            notes=_not_seen(layers, seen),
        )

    def _images(self, subject: Subject, data: DeviceData) -> Batch:
        import torch

        count = len(data.train)
        order = torch.randperm(count, generator=generator(subject.seed, Stream.PROBE))
        return data.batch("train", order[: self.batch].to(data.device))

    def _run(
        self,
        network: torch.nn.Module,
        layers: list[Layer],
        images: torch.Tensor,
        labels: torch.Tensor,
        subject: Subject,
        seen: _Seen,
    ) -> torch.Tensor:
        import torch
        import torch.nn.functional as F

        from initbench.training.evaluation import evaluating
        from initbench.training.numerics import reproducible

        for layer in layers:
            network.get_submodule(layer.name).register_forward_hook(seen.hook(layer.name))
        smoothing = float(subject.record.identity["recipe"]["label_smoothing"])
        with (
            reproducible(subject.seed, images.device),
            evaluating(network, self.mode == "batch_statistics"),
            torch.enable_grad(),
        ):
            with _watching(seen):
                logits: torch.Tensor = network(images)
            F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum").backward()
        return logits.detach()


@dataclass
class _Moments:
    """Mean and variance of all elements of some tensors."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, tensor: torch.Tensor) -> None:
        numbers = tensor.detach().double()
        self.count += numbers.numel()
        self.total += numbers.sum().item()
        self.squares += numbers.square().sum().item()

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def variance(self) -> float:
        return max(self.squares / self.count - self.mean**2, 0.0)  # NaN stays NaN


@dataclass
class _Seen:
    """What passes by while a batch goes through a network; layers in the order of their calls."""

    activations: dict[str, _Moments] = field(default_factory=dict)
    gradients: dict[str, _Moments] = field(default_factory=dict)
    active: dict[str, torch.Tensor] = field(default_factory=dict)  # by ReLU: one truth a unit
    _last_layer: str = "images"

    def hook(self, name: str) -> Callable[[torch.nn.Module, Any, torch.Tensor], None]:
        """Return the forward hook of the layer `name`."""

        def look(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
            self._last_layer = name
            self.activations.setdefault(name, _Moments()).add(output)
            if output.requires_grad:
                output.register_hook(self.gradients.setdefault(name, _Moments()).add)

        return look

    def rectified(self, output: torch.Tensor) -> None:
        """Note which units a ReLU lets through."""
        units = -1 if output.dim() == 3 else 1  # images, tokens, features; or channels in front
        active = (output.detach() > 0).movedim(units, 0).flatten(1).any(1)
        before = self.active.get(self._last_layer)
        if before is not None and before.shape == active.shape:
            active = active | before
        self.active[self._last_layer] = active


def _watching(seen: _Seen) -> Any:
    """Return a context in which `seen` is told of every ReLU, module or function."""
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    from initbench.models.activations import of_function

    class Watching(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = function(*args, **(kwargs or {}))
            activation = of_function(getattr(function, "__name__", ""))
            if activation and activation.name in DIES and isinstance(result, Tensor):
                seen.rectified(result)
            return result

    return Watching()


def _of_logits(logits: torch.Tensor) -> dict[str, torch.Tensor]:
    logits = logits.double()
    logarithms = logits.log_softmax(1)
    return {
        "logit_entropy": -(logarithms.exp() * logarithms).sum(1).mean(),
        "logit_std": logits.std(1, correction=0).mean(),
    }


def _not_seen(layers: list[Layer], seen: _Seen) -> list[str]:
    hidden = [layer.name for layer in layers if layer.name not in seen.activations]
    if not hidden:
        return []
    return [
        f"{len(hidden)} of {len(layers)} layers are not seen, because the forward pass does not "
        f"call their modules; the first is `{hidden[0]}`"
    ]
