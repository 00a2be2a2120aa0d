"""The start-up microscope: a network with one batch of training images, before its first step.

With another `checkpoint` it looks at a trained network in the same way.

* Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
  equations 8 and 9: at a good start, activations have the same variance in all layers, and so have
  the gradients that come back.
* He et al. 2015, "Delving deep into rectifiers", equations 5 to 14: the same for networks of ReLUs,
  where activations are the responses of a layer before its activation function. Here as there.

What is called a gradient is that of the loss of one image with respect to the responses of a layer:
the summed loss, so that it does not depend on the size of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from initbench.models.layers import Moments, listening
from initbench.probes.layers import by_layer, layers_of, nothing
from initbench.probes.probe import Checkpoint, Observation, Population, Probe, Subject
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

QUANTILES = 257
"""So many quantiles of a layer are kept, at equal steps from the smallest value to the largest."""

_SAMPLE = 65_536
"""They are those of so many elements of a tensor, drawn at random, where it has more."""


@dataclass(frozen=True)
class StartUp(Probe):
    """Runs one batch forwards and backwards through the initial network, which stays as it is.

    The images depend on the seed alone and are not augmented; everything is computed in float32.
    With `batch_statistics` as the default, networks with batch norm are seen as their first step
    sees them; dropout is off in both modes.

    The observation has, by layer: `activation_mean` and `activation_variance`, over images,
    channels and positions; `gradient_variance`; of both the quantiles (layers, QUANTILES), from
    which histograms of any width are made; and `dead_units`, the share of units that no image
    activates. A unit is a channel, wherever in the image, or an output of a linear layer.
    A ReLU is called by the layer that came before it. Of the logits there are `logit_entropy`, the
    mean entropy of the predicted probabilities in nats, and `logit_std`, the mean over images of
    the deviation between classes.
    """

    name = "start_up"
    version = "2"
    scope = "trial"

    batch: int = 128
    mode: Mode = "batch_statistics"
    checkpoint: Checkpoint = "initial"

    def observe(self, population: Population) -> Observation:
        """Return what a batch does to the layers, and the loss's gradient on its way back."""
        (subject,) = population.subjects
        network = subject.network(self.checkpoint)
        if network is None:
            return nothing(f"there is no {self.checkpoint} network")
        layers = layers_of(network, population.data)
        seen = _Seen()
        logits = self._run(network, layers, subject, population.data, seen)
        gradients = {name: x for name, x in seen.gradients.items() if x.some}
        return by_layer(
            {
                "activation_mean": {n: x.moments.mean for n, x in seen.activations.items()},
                "activation_variance": {n: x.moments.variance for n, x in seen.activations.items()},
                "gradient_variance": {n: x.moments.variance for n, x in gradients.items()},
                "dead_units": {n: 1 - x.double().mean() for n, x in seen.active.items()},
            },
            {
                **_of_logits(logits),
                "activation_quantiles": _quantiles(seen.activations),
                "gradient_quantiles": _quantiles(gradients),
            },
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
        subject: Subject,
        data: DeviceData,
        seen: _Seen,
    ) -> torch.Tensor:
        import torch

        from initbench.training.evaluation import evaluating
        from initbench.training.numerics import reproducible
        from initbench.training.objectives import objective_of

        images, labels = self._images(subject, data)
        smoothing = float(subject.record.identity["recipe"]["label_smoothing"])
        objective = objective_of(data)
        with (
            reproducible(subject.seed, data.device),
            evaluating(network, self.mode == "batch_statistics"),
            torch.enable_grad(),
            listening(network, layers, seen.response, seen.gradient),
        ):
            with _watching(seen):
                logits: torch.Tensor = network(images)
            objective.losses(logits, labels, smoothing).sum().backward()
        return logits.detach()


@dataclass
class _Passed:
    """What passed a layer in one direction: moments of all its elements, and some of them."""

    moments: Moments = field(default_factory=Moments)
    some: list[torch.Tensor] = field(default_factory=list)

    def add(self, tensor: torch.Tensor) -> None:
        import torch

        self.moments.add(tensor)
        numbers = tensor.detach().flatten()
        if len(numbers) > _SAMPLE:
            draws = torch.Generator().manual_seed(len(numbers))
            chosen = torch.randint(len(numbers), (_SAMPLE,), generator=draws)
            numbers = numbers[chosen.to(numbers.device)]
        self.some.append(numbers)


@dataclass
class _Seen:
    """What passes by while a batch goes through a network; layers in the order of their calls."""

    activations: dict[str, _Passed] = field(default_factory=dict)
    gradients: dict[str, _Passed] = field(default_factory=dict)
    active: dict[str, torch.Tensor] = field(default_factory=dict)  # by ReLU: one truth a unit
    _last_layer: str = "images"

    def response(self, layer: Layer, output: torch.Tensor, weight: torch.Tensor | None) -> None:
        """Note what a layer puts out."""
        self._last_layer = layer.name
        self.activations.setdefault(layer.name, _Passed()).add(output)
        self.gradients.setdefault(layer.name, _Passed())

    def gradient(self, layer: Layer, gradient: torch.Tensor) -> None:
        """Note the gradient that comes back to a layer."""
        self.gradients[layer.name].add(gradient)

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


def _quantiles(passed: Mapping[str, _Passed]) -> torch.Tensor:
    """Return the quantiles of each layer, a row each; NaN where one of its values is."""
    import torch

    shares = torch.linspace(0, 1, QUANTILES, dtype=torch.float64)
    rows = [torch.cat(x.some).double().cpu().quantile(shares) for x in passed.values()]
    return torch.stack(rows) if rows else torch.empty(0, QUANTILES, dtype=torch.float64)


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
