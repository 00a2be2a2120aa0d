"""The trainer: members in, trained members out.

`train` is one interface for one network or many. Checkpoints and evaluations follow Harder et al.
2023 as their authors' code has it: the best checkpoint is the first with the highest validation
accuracy, the network before training included.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from initbench.data.resident import ResidentData
from initbench.errors import UserError
from initbench.store.record import Cost, Curve, Failure, TrialStatus
from initbench.streams import Stream, generator
from initbench.training.augmentation import draw
from initbench.training.cost import Meter
from initbench.training.evaluation import Scores, evaluate, has_batch_norm
from initbench.training.numerics import largest_weight, reproducible
from initbench.training.optimiser import build_optimiser
from initbench.training.recipe import Cosine, Recipe
from initbench.training.schedule import (
    RateSchedule,
    evaluation_steps,
    steps_per_epoch,
    total_steps,
)

CHECK_EVERY = 100
"""Steps between two looks for a NaN, besides those at evaluations: looking makes a GPU wait."""

State = dict[str, torch.Tensor]
Augment = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Member:
    """A network with its starting weights, and the seed of its trial."""

    network: torch.nn.Module
    seed: int


@dataclass(frozen=True)
class Progress:
    """Where a member stands, told at each of its evaluations."""

    seed: int
    step: int
    total_steps: int
    epoch: float
    validation_accuracy: float


@dataclass(frozen=True)
class Trained:
    """What became of a member.

    Curves have one entry for each evaluation; `train_loss` is the mean over the steps since the
    last evaluation and `learning_rate` that of the last step, so both begin with None.
    State dictionaries are copies on the CPU. A member that diverged has the curves up to then.
    """

    seed: int
    status: TrialStatus  # done or diverged
    failure: Failure | None
    curves: dict[str, Curve]
    best_index: int  # of the evaluation whose checkpoint is `best`
    best: State
    last: State
    numbers: dict[str, float]  # final numbers that are known already
    batch_order: str  # SHA-256 of the indices of all training images, in the order they were used
    cost: Cost


def train(
    members: Sequence[Member],
    data: ResidentData,
    recipe: Recipe,
    *,
    on_progress: Callable[[int, Progress], None] | None = None,
) -> list[Trained]:
    """Train `members` in place on the device of `data`, each as if it were alone.

    `on_progress` is told a member's position among `members` and where it stands.
    A member whose training loss or weights become NaN or infinite stops there; the others go on.
    Raises UserError where the recipe does not fit data or device; what a network raises passes
    through.
    """
    check_recipe(recipe, len(data.train), data.device)
    # One after the other for now; stacks trained in one vectorised step come behind this function.
    return [
        Run(member, data, recipe, on_progress and partial(on_progress, position)).trained()
        for position, member in enumerate(members)
    ]


def final_numbers(
    network: torch.nn.Module, trained: Trained, data: ResidentData
) -> dict[str, float]:
    """Return the numbers of a record's `final`, by name; those that are not finite are left out.

    A member that diverged has only its numbers from before training. `network`, on the device of
    `data`, is left with the last weights.
    """
    numbers = dict(trained.numbers)
    if trained.status is TrialStatus.DONE:
        with reproducible(trained.seed, data.device):
            for which, state in (("best", trained.best), ("last", trained.last)):
                network.load_state_dict(state)
                scores = evaluate(network, data, "test")
                numbers[f"test_accuracy.{which}"] = scores.accuracy
                numbers[f"test_loss.{which}"] = scores.loss
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


@dataclass(frozen=True)
class _Point:
    """One evaluation."""

    step: int
    validation: Scores
    train_loss: float | None
    learning_rate: float | None


class Run:
    """One member on its way through the recipe."""

    def __init__(
        self,
        member: Member,
        data: ResidentData,
        recipe: Recipe,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        images = len(data.train)
        self.seed = member.seed
        self.network = member.network.to(data.device)
        self.data = data
        self.recipe = recipe
        self.on_progress = on_progress

        self.optimiser = build_optimiser(self.network, recipe.optimiser)
        self.schedule = RateSchedule(recipe, images)
        self.autocast = _autocast(recipe, data.device)
        self.scaler = torch.amp.GradScaler(enabled=recipe.precision == "float16")

        self.steps_per_epoch = steps_per_epoch(recipe, images)
        self.evaluation_steps = frozenset(evaluation_steps(recipe, images))
        self.step = 0
        self.images_seen = 0
        self.batch_order = hashlib.sha256()
        # Since the last evaluation; summed on the device, so that a GPU need not wait for the host.
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=data.device)
        self.loss_steps = 0

        self.points: list[_Point] = []
        self.best_index = 0
        self.best: State = {}

    def trained(self) -> Trained:
        """Train to the end, or until the member diverges."""
        meter = Meter(self.data.device)
        with reproducible(self.seed, self.data.device):
            self.network.train()
            numbers = self._initial_numbers()
            failure = self._train()
        accuracies = [point.validation.accuracy for point in self.points]
        numbers["validation_accuracy.initial"] = accuracies[0]
        if failure is None:
            numbers["validation_accuracy.best"] = accuracies[self.best_index]
            numbers["validation_accuracy.last"] = accuracies[-1]
        return Trained(
            seed=self.seed,
            status=TrialStatus.DIVERGED if failure else TrialStatus.DONE,
            failure=failure,
            curves=_curves(self.points, self.steps_per_epoch),
            best_index=self.best_index,
            best=self.best,
            last=_copy(self.network),
            numbers=numbers,
            batch_order=self.batch_order.hexdigest(),
            cost=meter.cost(images_seen=self.images_seen, steps=self.step),
        )

    def _initial_numbers(self) -> dict[str, float]:
        test = evaluate(self.network, self.data, "test")
        numbers = {"test_accuracy.initial": test.accuracy, "test_loss.initial": test.loss}
        if has_batch_norm(self.network):
            predicted = evaluate(self.network, self.data, "validation", batch_statistics=True)
            numbers["validation_accuracy.initial_batch_statistics"] = predicted.accuracy
        return numbers

    def _train(self) -> Failure | None:
        self._evaluate()
        if failure := self._divergence():
            return failure
        for epoch in range(self.recipe.epochs):
            for indices, augment in self._batches(epoch):
                self.take_step(indices, augment)
                evaluation_is_due = self.step in self.evaluation_steps
                look = evaluation_is_due or self.step % CHECK_EVERY == 0
                if look and (failure := self._divergence()):
                    return failure
                if evaluation_is_due:
                    self._evaluate()
        return None

    def _batches(self, epoch: int) -> Iterator[tuple[torch.Tensor, Augment | None]]:
        """Yield each batch of an epoch: indices on the device, and what augments their images."""
        images, device = len(self.data.train), self.data.device
        order = torch.randperm(images, generator=generator(self.seed, Stream.ORDER, epoch))
        draws = draw(self.recipe.augmentation, images, self.seed, epoch, device)
        on_device = order.to(device)
        for batch in range(self.steps_per_epoch):
            part = slice(batch * self.recipe.batch_size, (batch + 1) * self.recipe.batch_size)
            indices = on_device[part]
            self.batch_order.update(order[part].numpy().tobytes())
            yield indices, partial(draws.apply, indices=indices) if draws else None

    def take_step(self, indices: torch.Tensor, augment: Augment | None) -> None:
        """Take one optimiser step on the training images at `indices` (on the device)."""
        images, labels = self.data.batch("train", indices, augment)
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.step)

        with self.autocast:
            logits = self.network(images)  # (batch, classes)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)
        self.optimiser.zero_grad()
        self.scaler.scale(loss).backward()
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimiser)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()

        self.loss_sum += loss.detach()
        self.loss_steps += 1
        self.step += 1
        self.images_seen += len(indices)

    def _divergence(self) -> Failure | None:
        """Return the failure if the training loss or a weight is not finite by now."""
        for what, value in (
            ("the training loss", self.loss_sum.item()),
            ("a weight", largest_weight(self.network)),
        ):
            if not math.isfinite(value):
                kind = "nan" if math.isnan(value) else "infinity"
                return Failure(kind=kind, message=f"{what} was not finite after {self.step} steps")
        return None

    def _evaluate(self) -> None:
        validation = evaluate(self.network, self.data, "validation")
        trained = self.loss_steps > 0
        point = _Point(
            step=self.step,
            validation=validation,
            train_loss=self.loss_sum.item() / self.loss_steps if trained else None,
            learning_rate=self.optimiser.param_groups[0]["lr"] if trained else None,
        )
        if (
            not self.points
            or validation.accuracy > self.points[self.best_index].validation.accuracy
        ):
            self.best_index = len(self.points)
            self.best = _copy(self.network)
        self.points.append(point)
        self.schedule.observe(validation.loss)
        self.loss_sum.zero_()
        self.loss_steps = 0
        if self.on_progress is not None:
            self.on_progress(
                Progress(
                    seed=self.seed,
                    step=self.step,
                    total_steps=self.recipe.epochs * self.steps_per_epoch,
                    epoch=self.step / self.steps_per_epoch,
                    validation_accuracy=validation.accuracy,
                )
            )


def check_recipe(recipe: Recipe, images: int, device: torch.device) -> None:
    """Raise UserError where a recipe does not fit the number of training images or the device."""
    if recipe.batch_size > images:
        raise UserError(
            f"recipe: `batch_size` is {recipe.batch_size}, but the training split has only "
            f"{images} images; choose {images} at most"
        )
    if recipe.precision == "float16" and device.type != "cuda":
        raise UserError(
            f"recipe: `precision` is float16, which needs a CUDA device, got `{device}`; "
            "choose bfloat16 or float32"
        )
    steps = total_steps(recipe, images)
    if isinstance(recipe.schedule, Cosine) and recipe.schedule.warmup_batches >= steps:
        raise UserError(
            f"recipe: `schedule.warmup_batches` is {recipe.schedule.warmup_batches}, but the whole "
            f"training has only {steps} batches; choose fewer, or more `epochs`"
        )


def _autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[None]:
    if recipe.precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, recipe.precision))


def _copy(network: torch.nn.Module) -> State:
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
    }


def _curves(points: Sequence[_Point], steps_per_epoch: int) -> dict[str, Curve]:
    steps = [point.step for point in points]
    epochs = [step / steps_per_epoch for step in steps]

    def curve(values: Iterable[float | None]) -> Curve:
        defined = [x if x is not None and math.isfinite(x) else None for x in values]
        return Curve(steps=steps, epochs=epochs, values=defined)

    return {
        "validation_accuracy": curve(point.validation.accuracy for point in points),
        "validation_loss": curve(point.validation.loss for point in points),
        "train_loss": curve(point.train_loss for point in points),
        "learning_rate": curve(point.learning_rate for point in points),
    }
