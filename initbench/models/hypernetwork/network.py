"""The network: a main network that runs with generated tensors in the place of parameters."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.func import functional_call

from initbench.models.anatomy import Anatomy, Layer, OutputLayer
from initbench.models.hypernetwork.config import HypernetworkConfig
from initbench.models.hypernetwork.generators import Generator
from initbench.models.hypernetwork.tensors import Chosen

_MAIN = "main."
_GENERATOR = "generator."

TASK_EMBEDDINGS = "generator.embeddings.shared"
"""The parameter with a row for each of several tasks."""


class GeneratedNetwork(nn.Module):
    """A main network whose chosen tensors are outputs of a generator.

    What is not chosen stays a parameter of the main network. `main` gives up the chosen ones: it
    has no weights of its own there, and cannot run but through this module. With several tasks, the
    last channel of an input is the number of its task, and `main` sees the others.
    """

    def __init__(
        self,
        main: nn.Module,
        main_anatomy: Anatomy,
        generator: Generator,
        config: HypernetworkConfig,
    ) -> None:
        super().__init__()
        self.generator = generator
        self._names = [_all_names(main, tensor) for tensor in generator.chosen]
        self._main_anatomy = _prefixed(main_anatomy)
        self._test_draws = config.embedding.draws if config.embedding.noise else 1
        self.tasks = config.tasks
        for names in self._names:
            for name in names:
                owner, _, local = name.rpartition(".")
                setattr(main.get_submodule(owner), local, None)
        self.main = main

    def forward(self, images: torch.Tensor, task: int | None = None) -> torch.Tensor:
        """Return the logits; where testing averages probabilities, their logarithms.

        `task` is that of all images, where it is known.
        """
        if self.tasks > 1:
            return self._of_their_tasks(images) if task is None else self._of_task(images, task)
        if self.training:
            return self._run(images, None)
        if self._test_draws == 1:
            return self._run(images, 0)
        draws = [self._run(images, draw).log_softmax(1) for draw in range(self._test_draws)]
        return torch.stack(draws).logsumexp(0)

    def generated(self, draw: int | None = 0, task: int = 0) -> dict[str, torch.Tensor]:
        """Return the generated tensors by the names they have in `main`; tied ones by each.

        `draw` is which noise of testing the embeddings get, None for fresh noise.
        """
        tensors = self.generator(draw, task)
        return {
            name: tensor
            for names, tensor in zip(self._names, tensors, strict=True)
            for name in names
        }

    def anatomy(self) -> Anatomy:
        """Return the layers that own parameters, and the anatomy of the main network beside."""
        left = (_left(layer, self._generated_names()) for layer in self._main_anatomy)
        layers = (*self.generator.layers(_GENERATOR), *[layer for layer in left if layer])
        return Anatomy(
            layers,
            traced=self._main_anatomy.traced,
            note=self._main_anatomy.note,
            main=self._main_anatomy,
            outputs=tuple(self._outputs()),
        )

    def _generated_names(self) -> set[str]:
        return {f"{_MAIN}{name}" for names in self._names for name in names}

    def _outputs(self) -> list[OutputLayer]:
        return [
            replace(
                output, tensors=tuple(replace(t, layer=_renamed(t.layer)) for t in output.tensors)
            )
            for output in self.generator.outputs(_GENERATOR)
        ]

    def _run(self, images: torch.Tensor, draw: int | None, task: int = 0) -> torch.Tensor:
        weights = self.generated(draw, task)
        outputs: torch.Tensor = functional_call(self.main, weights, (images,))
        return outputs

    def _of_task(self, images: torch.Tensor, task: int) -> torch.Tensor:
        return self._run(images[:, :-1], 0, task)

    def _of_their_tasks(self, images: torch.Tensor) -> torch.Tensor:
        """Return the outputs for images of several tasks, each with the weights of its own."""
        tasks = torch.arange(self.tasks, device=images.device)
        own = images[:, -1, 0, 0] == tasks[:, None]  # (tasks, batch)
        outputs = torch.stack([self._of_task(images, task) for task in range(self.tasks)])
        return torch.where(own[..., None], outputs, 0).sum(0)


def _all_names(main: nn.Module, tensor: Chosen) -> list[str]:
    """Return every name of a parameter; it has several where it is tied."""
    parameter = main.get_parameter(tensor.parameter)
    named = main.named_parameters(remove_duplicate=False)
    return [name for name, other in named if other is parameter]


def _prefixed(main: Anatomy) -> Anatomy:
    return replace(main, layers=tuple(_renamed(layer) for layer in main))


def _renamed(layer: Layer) -> Layer:
    return replace(
        layer,
        name=f"{_MAIN}{layer.name}",
        weight=layer.weight and f"{_MAIN}{layer.weight}",
        bias=layer.bias and f"{_MAIN}{layer.bias}",
        others=tuple(f"{_MAIN}{name}" for name in layer.others),
    )


def _left(layer: Layer, generated: set[str]) -> Layer | None:
    """Return a layer of the main network without what is generated; None if nothing is left."""
    weight = None if layer.weight in generated else layer.weight
    bias = None if layer.bias in generated else layer.bias
    if weight is None and bias is None and not layer.others:
        return None
    shape = layer.shape if weight else ()
    return replace(layer, weight=weight, bias=bias, shape=shape)
