"""Tasks: what the benchmark of training trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from initbench.data.dataset import DataSet
from initbench.data.sets.cifar10 import CIFAR10
from initbench.data.sets.mnist import MNIST
from initbench.errors import UserError
from initbench.models.model import Model
from initbench.plugin.registry import Registry, Resolved
from initbench.training.recipe import Recipe

RECIPE = "harder2023_cifar10"
"""The recipe of a task that a user makes up, but for its batch size."""

_STEPS = 20


@dataclass(frozen=True)
class Task:
    """One network on one data set with one recipe."""

    what: str
    model: str
    dataset: DataSet[Any]
    recipe: str
    batch_size: int
    steps: int
    """Of our loop with one network in a round: so many that evaluations do not count."""
    stacks: tuple[int, ...]
    gpu_stacks: tuple[int, ...]
    gpu_steps: int

    def resolved(self, registry: Registry) -> tuple[Resolved[Model[Any]], Recipe]:
        """Return model and recipe."""
        recipe = registry.recipe(self.recipe, {"batch_size": self.batch_size})
        return registry.model(self.model), recipe


TASKS: dict[str, Task] = {
    "zoo_cnn_128": Task(
        what="zoo CNN, MNIST, batches of 128",
        model="zoo_cnn",
        dataset=MNIST(MNIST.Config()),
        recipe="schuerholt2022_mnist",
        batch_size=128,
        steps=100,
        stacks=(5, 25, 100),
        gpu_stacks=(5, 25, 100, 1000),
        gpu_steps=200,
    ),
    "zoo_cnn_10": Task(
        what="zoo CNN, MNIST, batches of 10",
        model="zoo_cnn",
        dataset=MNIST(MNIST.Config()),
        recipe="schuerholt2022_mnist",
        batch_size=10,
        steps=400,
        stacks=(5, 25, 100),
        gpu_stacks=(5, 25, 100, 1000),
        gpu_steps=400,
    ),
    "resnet20_128": Task(
        what="ResNet-20, CIFAR-10, batches of 128",
        model="cifar_resnet",
        dataset=CIFAR10(CIFAR10.Config()),
        recipe="harder2023_cifar10",
        batch_size=128,
        steps=2,
        stacks=(5,),  # larger ones take minutes a lap
        gpu_stacks=(5, 25, 100),
        gpu_steps=50,
    ),
}
"""Tasks by the name that selects them."""


def task_of(registry: Registry, model: str, dataset: str, batch_size: int, recipe: str) -> Task:
    """Return a task of these names.

    Raises UserError where one is not there, or where the images are decoded while training.
    """
    chosen = registry.dataset(dataset).thing
    if chosen.streamed:
        raise UserError(
            f"data set `{dataset}` is decoded while training, which torchvision's data set of "
            "images in memory cannot be compared with; choose one like `cifar10`, or use "
            "`initbench bench streaming`"
        )
    task = Task(
        what=f"{model}, {dataset}, batches of {batch_size}",
        model=model,
        dataset=chosen,
        recipe=recipe,
        batch_size=batch_size,
        steps=_STEPS,
        stacks=(5, 25),
        gpu_stacks=(5, 25, 100),
        gpu_steps=10 * _STEPS,
    )
    task.resolved(registry)
    return task
