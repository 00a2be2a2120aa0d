"""The trainer: members in, trained members out.

`train` is one interface for one network or many. Checkpoints and evaluations follow Harder et al.
2023 as their authors' code has it: the best checkpoint is the first with the highest validation
accuracy, the network before training included.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial

import torch

from initbench.data.dataset import SplitName
from initbench.data.device_data import Batch, DeviceData
from initbench.errors import MisfitError, UserError
from initbench.store.record import Failure, LayerCurves, TrialStatus
from initbench.streams import Stream, generator
from initbench.training.augmentation import draw
from initbench.training.checkpoint import (
    Conditions,
    Snapshot,
    Tensors,
    conditions,
    generator_states,
    network_state,
    optimiser_state,
    restore_generators,
    restore_network,
    restore_optimiser,
)
from initbench.training.cost import Meter
from initbench.training.evaluation import Scores, evaluate, has_batch_norm
from initbench.training.numerics import (
    CHECK_EVERY,
    autocast,
    divergence,
    largest_weight,
    products,
    reproducible,
)
from initbench.training.objectives import guessing_numbers, objective_of
from initbench.training.optimiser import build_optimiser
from initbench.training.outcome import (
    History,
    Member,
    Point,
    Progress,
    Trained,
    initial_numbers,
    state_of,
    test_numbers,
    tested_numbers,
)
from initbench.training.recipe import Cosine, Recipe
from initbench.training.schedule import (
    RateSchedule,
    evaluation_steps,
    kept_epochs,
    steps_per_epoch,
    total_steps,
)
from initbench.training.watch import Watch


def train(
    members: Sequence[Member],
    data: DeviceData,
    recipe: Recipe,
    *,
    on_progress: Callable[[int, Progress], None] | None = None,
    kind: type[Run] | None = None,
) -> list[Trained]:
    """Train `members` in place on the device of `data`, one after the other.

    `on_progress` is told a member's position among `members` and where it stands; `kind` is how a
    member is trained, by default plainly.
    A member whose training loss or weights become NaN or infinite stops there; the others go on.
    Raises UserError where the recipe does not fit data or device; what a network raises passes
    through.
    """
    check_recipe(recipe, len(data.train), data.device)
    run = kind or Run
    return [
        run(member, data, recipe, on_progress and partial(on_progress, position)).trained()
        for position, member in enumerate(members)
    ]


def final_numbers(network: torch.nn.Module, trained: Trained, data: DeviceData) -> dict[str, float]:
    """Return the numbers of a record's `final`, by name; those that are not finite are left out.

    A member that diverged has only its numbers from before training. `network`, on the device of
    `data`, is left with the last weights.
    """
    numbers = dict(trained.numbers)
    if trained.status is TrialStatus.DONE:
        with reproducible(trained.seed, data.device):
            for which, state in (("best", trained.best), ("last", trained.last)):
                network.load_state_dict(state)
                numbers |= test_numbers(which, evaluate(network, data, "test"))
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


class Run:
    """One member on its way through the recipe."""

    def __init__(
        self,
        member: Member,
        data: DeviceData,
        recipe: Recipe,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        images = len(data.train)
        self.seed = member.seed
        self.network = member.network.to(data.device)
        self.forward: Callable[[torch.Tensor], torch.Tensor] = self.network
        self.data = data
        self.recipe = recipe
        self.on_progress = on_progress
        self.keeper = member.keeper
        self.objective = objective_of(data)
        self.meter = Meter(data.device)

        self.optimiser = build_optimiser(self.network, recipe.optimiser)
        self.schedule = RateSchedule(recipe, images)
        self.autocast = autocast(recipe, data.device)
        self.scaler = torch.amp.GradScaler(enabled=recipe.precision == "float16")

        self.steps_per_epoch = steps_per_epoch(recipe, images)
        self.evaluation_steps = frozenset(evaluation_steps(recipe, images))
        self.kept_epochs = kept_epochs(recipe, images)
        self.step = 0
        self.images_seen = 0
        self.batch_order = hashlib.sha256()
        # Since the last evaluation; summed on the device, so that a GPU need not wait for the host.
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=data.device)
        self.loss_steps = 0

        self.numbers: dict[str, float] = {}  # from before training
        self.history = History()
        self.watch: Watch | None = None

    def trained(self) -> Trained:
        """Train to the end, or until the member diverges, from where an earlier attempt ended."""
        with reproducible(self.seed, self.data.device):
            self.network.train()
            if self.recipe.evaluation.layers:
                smoothing = self.recipe.label_smoothing
                self.watch = Watch(self.network, self.data, seed=self.seed, smoothing=smoothing)
            self._take_up()
            failure = self._train()
        numbers = self.numbers | self.history.numbers(complete=failure is None)
        return Trained(
            seed=self.seed,
            status=TrialStatus.DIVERGED if failure else TrialStatus.DONE,
            failure=failure,
            curves=self.history.curves(self.steps_per_epoch),
            best_index=self.history.best_index,
            best=self.history.best,
            last=state_of(self.network),
            numbers=numbers,
            batch_order=self.batch_order.hexdigest(),
            cost=self.meter.cost(images_seen=self.images_seen, steps=self.step),
            attempt_notes=list(self.keeper.notes) if self.keeper else [],
            kept=self.history.kept,
            layers=self._layer_curves(),
        )

    def _layer_curves(self) -> LayerCurves | None:
        if self.watch is None:
            return None
        return self.history.layer_curves(self.watch.layers, self.steps_per_epoch)

    def _initial_numbers(self) -> dict[str, float]:
        numbers = guessing_numbers(self.objective, self.data)
        test = self._scores("test")
        if not has_batch_norm(self.network):
            return numbers | initial_numbers(test)
        return numbers | initial_numbers(test, self._scores("validation", batch_statistics=True))

    def _train(self) -> Failure | None:
        if not self.history.points:
            self.numbers = self._initial_numbers()
            self._evaluate()
            if failure := self._divergence():
                return failure
            self._keep_if_due()
        for epoch in range(self.step // self.steps_per_epoch, self.recipe.epochs_in_all):
            with closing(self._batches(epoch)) as batches:
                for images, labels in batches:
                    self.take_step(images, labels)
                    evaluation_is_due = self.step in self.evaluation_steps
                    look = evaluation_is_due or self.step % CHECK_EVERY == 0
                    if look and (failure := self._divergence()):
                        return failure
                    if evaluation_is_due:
                        self._evaluate()
                    if self.step == (epoch + 1) * self.steps_per_epoch:
                        self._test_if_asked(epoch + 1)
                    self._keep_if_due()
        return None

    def _test_if_asked(self, epoch: int) -> None:
        if epoch in self.recipe.evaluation.test_epochs:
            self.numbers |= tested_numbers(epoch, self._scores("test"))

    def _batches(self, epoch: int) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch that are to come, augmented and normalised.

        Notes the order of images.
        """
        done = self.step - epoch * self.steps_per_epoch
        parts = self._order(epoch)[done:]
        images = len(self.data.train)
        draws = draw(self.recipe.augmentation, images, self.seed, epoch, self.data.device)
        shares = map(self._share, parts)
        batches = self.data.batches_at("train", shares, draws.apply if draws else None)
        with closing(batches):
            for indices, batch in zip(parts, batches, strict=True):
                self.batch_order.update(indices.numpy().tobytes())
                yield batch

    def _order(self, epoch: int) -> Sequence[torch.Tensor]:
        """Return the indices of the images in each batch of an epoch."""
        images = self._images(epoch)
        order = torch.randperm(len(images), generator=generator(self.seed, Stream.ORDER, epoch))
        batches: tuple[torch.Tensor, ...] = (images.start + order).split(self.recipe.batch_size)
        return batches[: self.steps_per_epoch]

    def _images(self, epoch: int) -> range:
        """Return the indices of the training images of an epoch: those of its task."""
        count = len(self.data.train) // self.recipe.tasks
        first = epoch // self.recipe.epochs * count
        return range(first, first + count)

    def take_step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Take one optimiser step on a batch of training images, normalised, on the device."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(self.step)

        with products(self.recipe):
            loss = self._loss(images, labels)
            self.optimiser.zero_grad()
            self.scaler.scale(loss).backward()
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimiser)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()

        self.loss_sum += self._whole(loss.detach())
        self.loss_steps += 1
        self.step += 1
        self.images_seen += len(labels)

    def _share(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the indices of a batch that this process trains on: here, all of them."""
        return batch

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with self.autocast:
            outputs = self.forward(images)  # (batch, classes)
        return self.objective.loss(outputs.float(), labels, self.recipe.label_smoothing)

    def _whole(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the loss of the whole batch."""
        return loss

    def _scores(self, split: SplitName, *, batch_statistics: bool = False) -> Scores:
        return evaluate(self.network, self.data, split, batch_statistics=batch_statistics)

    def _divergence(self) -> Failure | None:
        return divergence(self.loss_sum.item(), largest_weight(self.network), self.step)

    def _evaluate(self) -> None:
        validation = self._scores("validation")
        trained = self.loss_steps > 0
        point = Point(
            step=self.step,
            validation=validation,
            train_loss=self.loss_sum.item() / self.loss_steps if trained else None,
            learning_rate=self.optimiser.param_groups[0]["lr"] if trained else None,
            layers=self.watch.look() if self.watch else {},
        )
        kept_epoch = self.kept_epochs.get(self.step)
        self.history.add(point, lambda: state_of(self.network), kept_epoch)
        self.schedule.observe(validation.loss)
        self.loss_sum.zero_()
        self.loss_steps = 0
        if self.on_progress is not None:
            self.on_progress(
                Progress(
                    seed=self.seed,
                    step=self.step,
                    total_steps=self.recipe.epochs_in_all * self.steps_per_epoch,
                    epoch=self.step / self.steps_per_epoch,
                    validation=validation,
                )
            )

    # --- checkpoints ----------------------------------------------------------------------------

    def _keep_if_due(self) -> None:
        if self.keeper is not None and self.keeper.is_due():
            self.keeper.keep(self._snapshot(), self._conditions())

    def _take_up(self) -> None:
        if self.keeper is not None:
            snapshot = self.keeper.found(self.network, self._conditions())
            if snapshot is not None:
                self._restore(snapshot)

    def _conditions(self) -> Conditions:
        return conditions(self.data.device, "plain")

    def _memory(self) -> Tensors:
        """Return what else the coming steps depend on: here, nothing."""
        return {}

    def _remember(self, memory: Tensors) -> None:
        """Take up what `_memory` returned in an earlier attempt."""

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            step=self.step,
            images_seen=self.images_seen,
            loss_sum=self.loss_sum.item(),
            loss_steps=self.loss_steps,
            numbers=self.numbers,
            history=self.history,
            scaler=self.scaler.state_dict(),
            cost=self.meter.cost(images_seen=self.images_seen, steps=self.step),
            memory=self._memory(),
            network=network_state(self.network),
            optimiser=optimiser_state(self.optimiser),
            generators=generator_states(self.data.device),
        )

    def _restore(self, snapshot: Snapshot) -> None:
        self.step = snapshot.step
        self.images_seen = snapshot.images_seen
        self.loss_sum.fill_(snapshot.loss_sum)
        self.loss_steps = snapshot.loss_steps
        self.numbers = snapshot.numbers
        self.history = snapshot.history
        self.meter.add(snapshot.cost)
        self.scaler.load_state_dict(snapshot.scaler)
        restore_network(self.network, snapshot.network)
        restore_optimiser(self.optimiser, snapshot.optimiser)
        restore_generators(self.data.device, snapshot.generators)
        self._remember(snapshot.memory)
        for point in self.history.points:
            self.schedule.observe(point.validation.loss)
        for epoch in range(math.ceil(self.step / self.steps_per_epoch)):
            for indices in self._order(epoch)[: self.step - epoch * self.steps_per_epoch]:
                self.batch_order.update(indices.numpy().tobytes())


def check_recipe(recipe: Recipe, images: int, device: torch.device) -> None:
    """Raise UserError where a recipe does not fit the device, MisfitError for so many images."""
    if recipe.batch_size > images:
        raise MisfitError(
            f"recipe: `batch_size` is {recipe.batch_size}, but the training split has only "
            f"{images} images; choose {images} at most"
        )
    if recipe.precision in ("float16", "tf32") and device.type != "cuda":
        raise UserError(
            f"recipe: `precision` is {recipe.precision}, which needs a CUDA device, got "
            f"`{device}`; choose bfloat16 or float32"
        )
    steps = total_steps(recipe, images)
    if isinstance(recipe.schedule, Cosine) and recipe.schedule.warmup_batches >= steps:
        raise MisfitError(
            f"recipe: `schedule.warmup_batches` is {recipe.schedule.warmup_batches}, but the whole "
            f"training has only {steps} batches; choose fewer, or more `epochs`"
        )
