"""Equality: before they are timed, all loops are shown to compute the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from initbench.bench.material import Material, first_images
from initbench.bench.plain_loop import plain_dataset, plain_optimiser, train_plainly
from initbench.data.dataset import ImageSplits
from initbench.data.device_data import on_device
from initbench.errors import InitbenchError
from initbench.plugin.registry import Resolved
from initbench.streams import Stream, generator
from initbench.training.outcome import Trained
from initbench.training.recipe import Augmentation, Evaluation, Recipe
from initbench.training.stacked_run import train_stack
from initbench.training.trainer import train

_STEPS = 4
_RATE = 0.01  # with which every step shows, and rounding grows little from step to step
_TOLERANCE = 1e-3  # of losses


def check_equal(model: Resolved[Any], recipe: Recipe, splits: ImageSplits, device: str) -> None:
    """Raise InitbenchError unless all loops have the same losses in the first steps.

    Two networks are trained: by the plain loop, by our trainer, and as a stack.
    """
    images = _STEPS * recipe.batch_size
    few = first_images(splits, images, evaluated=2)
    short = recipe.model_copy(
        update={
            "epochs": 1,
            "evaluation": Evaluation(every=1, unit="batch"),
            "augmentation": Augmentation(),
            "optimiser": recipe.optimiser.model_copy(update={"lr": _RATE}),
        }
    )
    data = on_device(few, device)
    material = Material(model.thing, short, Path(), {}, device)
    expected = [_plain_losses(material, seed, few) for seed in range(2)]
    for what, loop in (("trainer", train), ("stacked trainer", train_stack)):
        members = [material.member(seed, few) for seed in range(2)]
        for plain, trained in zip(expected, loop(members, data, short), strict=True):
            ours = _losses(trained)
            if ours.shape != plain.shape or not torch.allclose(ours, plain, rtol=_TOLERANCE):
                raise InitbenchError(
                    f"the losses of {model.reference.name} in its first steps are "
                    f"{plain.tolist()} in a plain loop and {ours.tolist()} in our {what}, so their "
                    "times cannot be compared; please report this, with the version of torch"
                )


def _plain_losses(material: Material, seed: int, splits: ImageSplits) -> torch.Tensor:
    """Return the losses (steps,) of the plain loop on the images that our trainer takes."""
    device = torch.device(material.device)
    network = material.network(seed, splits).to(device)
    order = torch.randperm(len(splits.train), generator=generator(seed, Stream.ORDER, 0))
    batches = order.split(material.recipe.batch_size)
    loader = DataLoader(plain_dataset(splits), batch_sampler=[x.tolist() for x in batches])
    optimiser = plain_optimiser(network, material.recipe.optimiser)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # as ours
        losses = train_plainly(network, loader, optimiser, device)
    return torch.stack(losses).double().cpu()


def _losses(trained: Trained) -> torch.Tensor:
    """Return the losses (steps,) of a training that was evaluated after each step."""
    _, *losses = trained.curves["train_loss"].values
    return torch.tensor(losses, dtype=torch.float64)
