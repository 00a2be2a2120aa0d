"""Layers watched over training: how large their weights, activations and gradients are.

After figures of Chang et al. 2020, "Principled Weight Initialization for Hypernetworks", appendix
B.1: mean and deviation of the weights of the main network (there outputs of the hypernetwork), of
its activations and of its gradients, on 300 fixed images.
Deviations: validation images in place of test images; the network is in eval mode; activations are
the responses of a layer before its activation function, as everywhere in the harness.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from initbench.data.device_data import DeviceData
from initbench.models.anatomy import Layer
from initbench.models.layers import Moments, computing_layers, listening
from initbench.streams import Stream, generator
from initbench.training.evaluation import evaluating, images_at_once
from initbench.training.numerics import reproducible
from initbench.training.objectives import objective_of

IMAGES = 300
"""Validation images that a watch sees, the same for all trials on one data set."""

LayerNumbers = dict[str, list[float]]
"""By quantity: a number for each layer, NaN where nothing was seen of it."""


class Watch:
    """Looks at the layers of one network, again and again, with the same images.

    The network, its gradients and modes, and the random state stay as they are.
    """

    def __init__(
        self, network: torch.nn.Module, data: DeviceData, *, seed: int, smoothing: float
    ) -> None:
        """Prepare for looks at `network`, on the device of `data`.

        Args:
            network: whose layers are watched; of a generated one, those of the main network.
            data: whose validation images are shown.
            seed: of the trial.
            smoothing: of labels, as in training.
        """
        self._network = network
        self._data = data
        self._seed = seed
        self._smoothing = smoothing
        self._objective = objective_of(data)
        draws = generator(0, Stream.WATCH)
        shown = torch.randperm(len(data.validation), generator=draws)[:IMAGES].to(data.device)
        self._batches = shown.split(images_at_once(data, "validation"))
        self._count = len(shown)
        with self._aside():
            self._layers = computing_layers(network, data.batch("validation", shown[:2])[0])

    @property
    def layers(self) -> list[str]:
        """The names of the convolutional and linear layers, in forward order if it is known."""
        return [layer.name for layer in self._layers]

    def look(self) -> LayerNumbers:
        """Return mean and deviation or variance of what there is of each layer at this moment.

        `weight_mean` and `weight_std` are of its weight, or of the generated one; with noise, over
        all draws. `activation_mean` and `activation_variance` are over images, channels and
        positions; `gradient_mean` and `gradient_variance` those of the gradient of the loss of one
        image with respect to them. `gradient_norm` is the Euclidean norm of the gradient of the
        mean loss with respect to the weight. These are the quantities of the start-up microscope.
        """
        seen = {layer.name: _Seen() for layer in self._layers}
        with self._aside(), torch.enable_grad():
            for indices in self._batches:
                self._show(*self._data.batch("validation", indices), seen)
        found = list(seen.values())
        return {
            "weight_mean": [x.weights.mean for x in found],
            "weight_std": [math.sqrt(x.weights.variance) for x in found],
            "activation_mean": [x.activations.mean for x in found],
            "activation_variance": [x.activations.variance for x in found],
            "gradient_mean": [x.gradients.mean for x in found],
            "gradient_variance": [x.gradients.variance for x in found],
            "gradient_norm": [x.gradient_norm / self._count for x in found],
        }

    def _show(self, images: torch.Tensor, labels: torch.Tensor, seen: dict[str, _Seen]) -> None:
        """Run a batch forwards and backwards."""
        used: list[tuple[_Seen, torch.Tensor]] = []

        def response(layer: Layer, output: torch.Tensor, weight: torch.Tensor | None) -> None:
            here = seen[layer.name]
            here.activations.add(output)
            if weight is not None and not any(weight is other for _, other in used):
                here.weights.add(weight)
                used.append((here, weight))

        def gradient(layer: Layer, gradient: torch.Tensor) -> None:
            seen[layer.name].gradients.add(gradient)

        with listening(self._network, self._layers, response, gradient):
            outputs = self._network(images)
        loss = self._objective.losses(outputs, labels, self._smoothing).sum()
        trained = [(here, weight) for here, weight in used if weight.requires_grad]
        if not trained:
            return
        # Not `backward`, which would leave its gradients in the parameters.
        found = torch.autograd.grad(loss, [weight for _, weight in trained], allow_unused=True)
        for (here, _), of_weight in zip(trained, found, strict=True):
            here.add_weight_gradient(of_weight)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        with reproducible(self._seed, self._data.device), evaluating(self._network, False):
            yield


@dataclass
class _Seen:
    """What is seen of one layer, over several batches."""

    weights: Moments = field(default_factory=Moments)
    activations: Moments = field(default_factory=Moments)
    gradients: Moments = field(default_factory=Moments)
    _weight_gradient: torch.Tensor | None = None  # of the summed loss

    def add_weight_gradient(self, gradient: torch.Tensor | None) -> None:
        """Count in the gradient of the loss of further images, or through another draw."""
        if gradient is not None:
            before = self._weight_gradient
            self._weight_gradient = gradient if before is None else before + gradient

    @property
    def gradient_norm(self) -> float:
        """The norm of the gradient of the summed loss; NaN where none came back."""
        if self._weight_gradient is None:
            return math.nan
        norm: float = self._weight_gradient.double().norm().item()
        return norm
