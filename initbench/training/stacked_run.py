"""The stacked trainer: members of equal architecture, data and recipe in one vectorised step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from initbench.data.dataset import SplitName
from initbench.data.device_data import DeviceData
from initbench.store.record import Cost, Failure, TrialStatus
from initbench.training.checkpoint import Conditions, Tensors, conditions, restore_network
from initbench.training.cost import Meter
from initbench.training.cuda_graph import Recorded
from initbench.training.evaluation import Scores, has_batch_norm
from initbench.training.numerics import (
    CHECK_EVERY,
    autocast,
    divergence,
    products,
    reproducible,
)
from initbench.training.objectives import guessing_numbers, objective_of
from initbench.training.outcome import (
    History,
    Member,
    Point,
    Progress,
    Trained,
    initial_numbers,
    tested_numbers,
)
from initbench.training.recipe import Plateau, Recipe
from initbench.training.schedule import (
    RateSchedule,
    evaluation_steps,
    kept_epochs,
    steps_per_epoch,
)
from initbench.training.stack import Stack
from initbench.training.stacked_batches import StackedBatches
from initbench.training.stacked_checkpoint import Gone, StackKeeper, StackSnapshot, Staying
from initbench.training.stacked_evaluation import evaluate_stack
from initbench.training.stacked_optimiser import clip, stacked_optimiser

OnProgress = Callable[[int, Progress], None]


def train_stack(
    members: Sequence[Member],
    data: DeviceData,
    recipe: Recipe,
    *,
    on_progress: OnProgress | None = None,
    keeper: StackKeeper | None = None,
    kind: type[StackedRun] | None = None,
) -> list[Trained]:
    """Train `members` together on the device of `data`: to rounding, each as if it were alone.

    What `train` promises holds, if `why_not_stackable` has nothing against it. The members'
    networks change at the very end only: where this raises, out of memory say, the same members
    can be trained again in smaller stacks. `keeper` keeps the checkpoints of all; their own
    keepers are not used. `kind` is another way to train than one task.
    """
    run = (kind or StackedRun)(members, data, recipe, on_progress, keeper)
    outcomes = run.trained()
    for position, member in enumerate(members):
        member.network.to(data.device).train()
        restore_network(member.network, run.last[position])
    return outcomes


@dataclass
class _Row:
    """A member that is still in the stack."""

    position: int  # among the members
    seed: int
    schedule: RateSchedule
    numbers: dict[str, float] = field(default_factory=dict)  # from before training
    history: History = field(default_factory=History)
    failure: Failure | None = None


class StackedRun:
    """Members on their common way through the recipe."""

    def __init__(
        self,
        members: Sequence[Member],
        data: DeviceData,
        recipe: Recipe,
        on_progress: OnProgress | None = None,
        keeper: StackKeeper | None = None,
    ) -> None:
        images = len(data.train)
        self.data = data
        self.recipe = recipe
        self.on_progress = on_progress
        self.keeper = keeper
        self.objective = objective_of(data)
        self.meter = Meter(data.device)
        self.stack_size = len(members)

        self.rows = [
            _Row(position, member.seed, RateSchedule(recipe, images))
            for position, member in enumerate(members)
        ]
        self.stack = Stack([member.network for member in members], data.device)
        self.optimiser = stacked_optimiser(self.stack.weights, recipe.optimiser)
        self.batches = StackedBatches([member.seed for member in members], data, recipe)
        self.autocast = autocast(recipe, data.device, recorded=True)
        self.work = Recorded(self._work, data.device)

        self.steps_per_epoch = steps_per_epoch(recipe, images)
        # Looking makes a GPU wait for the host.
        self.check_every = self.steps_per_epoch if data.device.type == "cuda" else CHECK_EVERY
        self.evaluation_steps = frozenset(evaluation_steps(recipe, images))
        self.kept_epochs = kept_epochs(recipe, images)
        self.step = 0
        self.images_seen = 0  # by each member
        self.epoch_start = 0  # of images seen
        # Since the last evaluation; summed on the device, so that a GPU need not wait for the host.
        self.loss_sums = torch.zeros(len(members), dtype=torch.float64, device=data.device)
        self.loss_steps = 0

        self.outcomes: dict[int, Trained] = {}  # of those who left the stack, by position
        self.last: dict[int, Tensors] = {}  # their parameters and buffers, on the CPU

    def trained(self) -> list[Trained]:
        """Train to the end; members that diverge leave before."""
        with reproducible(self.rows[0].seed, self.data.device):
            self.stack.network.train()
            self._train()
            self._leave(range(len(self.rows)))
        whole = self._cost()  # the time of the stack is that of all its members
        outcomes = []
        for _, outcome in sorted(self.outcomes.items()):
            own = outcome.cost.model_dump(include={"images_seen", "steps"})
            notes = [*(self.keeper.notes if self.keeper else ()), *outcome.attempt_notes]
            cost = whole.model_copy(update=own)
            outcomes.append(replace(outcome, cost=cost, attempt_notes=notes))
        return outcomes

    def _train(self) -> None:
        if not self._taken_up():
            for row, numbers in zip(self.rows, self._initial_numbers(), strict=True):
                row.numbers = numbers
            self._evaluate()
            self._look()
            self._keep_if_due()
        for epoch in range(self.step // self.steps_per_epoch, self.recipe.epochs_in_all):
            done = self.step - epoch * self.steps_per_epoch
            if done == 0:
                self.batches.start()
                self.epoch_start = self.images_seen
            for size in self._batch_sizes()[done:]:
                if not self.rows:
                    return
                self.take_step(size)
                if self.step == (epoch + 1) * self.steps_per_epoch:
                    self._end_epoch(epoch)
                evaluation_is_due = self.step in self.evaluation_steps
                if evaluation_is_due or self.step % self.check_every == 0:
                    self._look()
                if evaluation_is_due and self.rows:
                    self._evaluate()
                if self.step == (epoch + 1) * self.steps_per_epoch and self.rows:
                    self._test_if_asked(epoch + 1)
                self._keep_if_due()

    def _batch_sizes(self) -> list[int]:
        images, size = len(self.data.train) // self.recipe.tasks, self.recipe.batch_size
        sizes = [min(size, images - start) for start in range(0, images, size)]
        return sizes[: self.steps_per_epoch]

    def take_step(self, size: int) -> None:
        """Take one optimiser step of all members, on the next `size` images of each."""
        self._set_rates()
        self.work(size)
        self.loss_steps += 1
        self.step += 1
        self.images_seen += size

    def _set_rates(self) -> None:
        rates = self.optimiser.rates
        if not isinstance(self.recipe.schedule, Plateau):
            rates.fill_(self.rows[0].schedule.rate(self.step))
        elif self.loss_steps == 0:  # there was an evaluation: nothing else changes them
            own = [[row.schedule.rate(self.step)] for row in self.rows]
            rates.copy_(torch.tensor(own, dtype=torch.float64))

    def _work(self, size: int) -> None:
        """Do what a step does on the device."""
        images, labels = self.batches.next(size)
        with products(self.recipe):
            losses, gradients = self._gradients(images, labels)
        with torch.no_grad():
            if self.recipe.clip_norm is not None:
                clip(gradients, self.recipe.clip_norm)
            self.optimiser.step(self.stack.weights, gradients)
            self.loss_sums += losses

    def _gradients(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of each member, and the gradients of all weights."""
        with self.autocast:
            outputs = self._outputs(images)
        losses = self.objective.losses(outputs.float(), labels, self.recipe.label_smoothing)
        losses = losses.mean(1)
        (gradients,) = torch.autograd.grad(losses.sum(), self.stack.weights)
        return losses.detach(), gradients

    def _outputs(self, images: torch.Tensor) -> torch.Tensor:
        """Return the outputs (members, batch, classes) on a batch for each member."""
        return self.stack.logits(images)

    def _end_epoch(self, epoch: int) -> None:
        """Do what takes the host some time, while a GPU still works on the steps it was given."""
        self.batches.note(self.images_seen - self.epoch_start)
        if epoch + 1 < self.recipe.epochs_in_all:
            self.batches.draw_ahead(epoch + 1)

    def _look(self) -> None:
        """Let members leave whose training loss or weights are not finite by now."""
        values = torch.stack([self.loss_sums, self.stack.largest_weights()])
        diverged = []
        for i, (loss_sum, weight) in enumerate(values.T.tolist()):  # one transfer
            self.rows[i].failure = divergence(loss_sum, weight, self.step)
            if self.rows[i].failure is not None:
                diverged.append(i)
        if diverged:
            self._leave(diverged)

    def _evaluate(self) -> None:
        validation = self._scores("validation")
        loss_sums = self.loss_sums.tolist()
        kept_epoch = self.kept_epochs.get(self.step)
        wanted = [
            i
            for i, row in enumerate(self.rows)
            if kept_epoch is not None or row.history.would_be_best(validation[i])
        ]
        tensors = self.stack.tensors(wanted)
        states = {i: self.stack.state(t) for i, t in zip(wanted, tensors, strict=True)}
        for i, row in enumerate(self.rows):
            point = Point(
                step=self.step,
                validation=validation[i],
                train_loss=loss_sums[i] / self.loss_steps if self.loss_steps else None,
                learning_rate=row.schedule.rate(self.step - 1) if self.loss_steps else None,
            )
            row.history.add(point, partial(states.__getitem__, i), kept_epoch)
            row.schedule.observe(validation[i].loss)
        self.loss_sums.zero_()
        self.loss_steps = 0
        if self.on_progress is not None:
            for row, scores in zip(self.rows, validation, strict=True):
                self.on_progress(row.position, self._progress(row, scores))

    def _test_if_asked(self, epoch: int) -> None:
        if epoch in self.recipe.evaluation.test_epochs:
            for row, scores in zip(self.rows, self._scores("test"), strict=True):
                row.numbers |= tested_numbers(epoch, scores)

    def _initial_numbers(self) -> list[dict[str, float]]:
        guessing = guessing_numbers(self.objective, self.data)
        test = self._scores("test")
        if not has_batch_norm(self.stack.network):
            return [guessing | initial_numbers(scores) for scores in test]
        predicted = self._scores("validation", batch_statistics=True)
        return [guessing | initial_numbers(*scores) for scores in zip(test, predicted, strict=True)]

    def _scores(self, split: SplitName, *, batch_statistics: bool = False) -> list[Scores]:
        return evaluate_stack(
            self.stack,
            self.data,
            split,
            batch_size=self.recipe.batch_size,
            batch_statistics=batch_statistics,
        )

    def _progress(self, row: _Row, validation: Scores) -> Progress:
        return Progress(
            seed=row.seed,
            step=self.step,
            total_steps=self.recipe.epochs_in_all * self.steps_per_epoch,
            epoch=self.step / self.steps_per_epoch,
            validation=validation,
        )

    def _leave(self, leaving: Sequence[int]) -> None:
        """Write down what became of the members in these rows, and go on without them."""
        self.batches.note(self.images_seen - self.epoch_start)
        cost = self._cost()
        notes = []
        if self.work.refusal is not None:
            notes.append(f"steps were not recorded as a CUDA graph: {self.work.refusal}")
        for i, tensors in zip(leaving, self.stack.tensors(leaving), strict=True):
            row = self.rows[i]
            self.last[row.position] = tensors
            self.outcomes[row.position] = Trained(
                seed=row.seed,
                status=TrialStatus.DIVERGED if row.failure else TrialStatus.DONE,
                failure=row.failure,
                curves=row.history.curves(self.steps_per_epoch),
                best_index=row.history.best_index,
                best=row.history.best,
                last=self.stack.state(tensors),
                numbers=row.numbers | row.history.numbers(complete=row.failure is None),
                batch_order=self.batches.digest(i),
                cost=cost,
                attempt_notes=list(notes),
                kept=row.history.kept,
            )
        gone = set(leaving)
        self._reduce([i for i in range(len(self.rows)) if i not in gone])

    def _cost(self) -> Cost:
        return self.meter.cost(
            images_seen=self.images_seen, steps=self.step, stack_size=self.stack_size
        )

    def _reduce(self, staying: Sequence[int]) -> None:
        """Go on with the members in these rows."""
        index = torch.tensor(staying, dtype=torch.int64, device=self.data.device)
        self.rows = [self.rows[i] for i in staying]
        self.loss_sums = self.loss_sums.index_select(0, index)
        for part in (self.stack, self.optimiser, self.batches):
            part.keep(index)
        self.work.forget()  # the tensors are others now

    # --- checkpoints ----------------------------------------------------------------------------

    def _by_row(self) -> Tensors:
        """Return whatever has a row for each member, and changes with the steps; not copied."""
        remembered = {f"optimiser.{name}": x for name, x in self.optimiser.by_row().items()}
        rates = self.optimiser.rates  # not every step sets them
        return {**self.stack.by_row(), **remembered, "rates": rates, "loss_sums": self.loss_sums}

    def _conditions(self) -> Conditions:
        return conditions(self.data.device, "stacked")

    def _keep_if_due(self) -> None:
        if self.keeper is None or not self.rows or not self.keeper.is_due():
            return
        keys = self.keeper.keys
        snapshot = StackSnapshot(
            step=self.step,
            images_seen=self.images_seen,
            loss_steps=self.loss_steps,
            staying={keys[row.position]: Staying(row.numbers, row.history) for row in self.rows},
            gone={keys[i]: Gone(gone, self.last[i]) for i, gone in self.outcomes.items()},
            rows=self._by_row(),
            cost=self._cost(),  # waits for the device, whose work is not the checkpoint's
        )
        self.keeper.keep(snapshot, self._conditions())

    def _taken_up(self) -> bool:
        """Go on from where an earlier attempt ended, if there is such a place; say whether."""
        if self.keeper is None:
            return False
        state = self.stack.state(self.stack.tensors([0])[0])
        snapshot = self.keeper.found(self._by_row(), state, self._conditions())
        if snapshot is None:
            return False
        keys = self.keeper.keys
        for key, gone in snapshot.gone.items():
            self.outcomes[keys.index(key)] = gone.outcome
            self.last[keys.index(key)] = gone.last
        self._reduce([row.position for row in self.rows if row.position not in self.outcomes])
        for name, tensor in self._by_row().items():
            tensor.copy_(snapshot.rows[name])
        for row, staying in zip(self.rows, snapshot.staying.values(), strict=True):
            row.numbers, row.history = staying.numbers, staying.history
            for point in row.history.points:
                row.schedule.observe(point.validation.loss)
        self.step = snapshot.step
        self.images_seen = snapshot.images_seen
        self.loss_steps = snapshot.loss_steps
        self.stack_size = snapshot.cost.stack_size
        self.meter.add(snapshot.cost)
        self.optimiser.go_on(self.step)
        epoch, done = divmod(self.step, self.steps_per_epoch)
        sizes = self._batch_sizes()
        if self.rows:
            self.batches.go_on(epoch, sum(sizes[:done]), sum(sizes))
        self.epoch_start = epoch * sum(sizes)
        return True
