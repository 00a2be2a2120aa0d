"""Continual learning of a stack: tasks one after another (`tasks` has the equations)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from initbench.data.dataset import SplitName
from initbench.data.device_data import DeviceData
from initbench.models.hypernetwork.network import TASK_EMBEDDINGS
from initbench.training.checkpoint import Conditions, Tensors, conditions
from initbench.training.evaluation import Scores
from initbench.training.outcome import Member, Trained
from initbench.training.recipe import Recipe
from initbench.training.stacked_checkpoint import StackKeeper
from initbench.training.stacked_evaluation import evaluate_stack
from initbench.training.stacked_run import OnProgress, StackedRun, train_stack
from initbench.training.tasks import Tasks, check_network, mean_of, numbers_after


def train_stack_continually(
    members: Sequence[Member],
    data: DeviceData,
    recipe: Recipe,
    *,
    on_progress: OnProgress | None = None,
    keeper: StackKeeper | None = None,
) -> list[Trained]:
    """Train `members` together on the tasks of `data` in turn.

    What `train_stack` and `train_continually` promise holds.
    """
    return train_stack(
        members, data, recipe, on_progress=on_progress, keeper=keeper, kind=StackedContinualRun
    )


class StackedContinualRun(StackedRun):
    """Members on their common way through the tasks."""

    def __init__(
        self,
        members: Sequence[Member],
        data: DeviceData,
        recipe: Recipe,
        on_progress: OnProgress | None = None,
        keeper: StackKeeper | None = None,
    ) -> None:
        super().__init__(members, data, recipe, on_progress, keeper)
        check_network(members[0].network, recipe.tasks)
        self.tasks = Tasks(data, recipe, self.steps_per_epoch)
        # Generated for each task but the last, at the end of the one before the present one.
        self.before = [[x.clone() for x in self._generated(k)] for k in range(recipe.tasks - 1)]

    def take_step(self, size: int) -> None:
        """Take one step of all members on the present task."""
        if self.tasks.begins(self.step):
            for k in range(self.tasks.at(self.step)):
                for then, now in zip(self.before[k], self._generated(k), strict=True):
                    then.copy_(now)
            self.work.forget()  # the next task is other work
        super().take_step(size)

    def _work(self, size: int) -> None:
        super()._work(size)  # of the embedding, and the tentative one
        if self.tasks.beta and self.tasks.at(self.step):
            self._draw_back()

    def _outputs(self, images: torch.Tensor) -> torch.Tensor:
        return self.stack.logits(images, task=self.tasks.at(self.step))

    def _draw_back(self) -> None:
        """Draw what is generated for earlier tasks to what it was before this one."""
        earlier = self.tasks.at(self.step)
        change = torch.zeros((), device=self.data.device)
        for k in range(earlier):
            for now, then in zip(
                self.stack.of_part("generator", 0, k), self.before[k], strict=True
            ):
                change = change + (now - then).square().sum()
        loss = self.tasks.beta * change / earlier
        (gradients,) = torch.autograd.grad(loss, self.stack.weights)
        with torch.no_grad():
            self.stack.by_name(gradients)[TASK_EMBEDDINGS].zero_()
            self.stack.weights.addcmul_(gradients, self.optimiser.rates, value=-1)

    def _generated(self, task: int) -> list[torch.Tensor]:
        with torch.no_grad():
            return self.stack.of_part("generator", 0, task)

    # --- what is looked at ----------------------------------------------------------------------

    def _scores(self, split: SplitName, *, batch_statistics: bool = False) -> list[Scores]:
        """Return the scores on the validation images of the tasks so far, or on all test images."""
        if split == "test":
            return super()._scores(split, batch_statistics=batch_statistics)
        return [mean_of(own) for own in self._scores_so_far(split)]

    def _scores_so_far(self, split: SplitName) -> list[list[Scores]]:
        """Return for each member its scores on each of the tasks so far."""
        by_task = [
            evaluate_stack(self.stack, part, split, batch_size=self.recipe.batch_size)
            for part in self.tasks.so_far(self.step)
        ]
        return [list(own) for own in zip(*by_task, strict=True)]

    def _initial_numbers(self) -> list[dict[str, float]]:
        return [numbers | self.tasks.guessing() for numbers in super()._initial_numbers()]

    def _test_if_asked(self, epoch: int) -> None:
        super()._test_if_asked(epoch)
        if self.tasks.begins(self.step):
            for row, own in zip(self.rows, self._scores_so_far("test"), strict=True):
                row.numbers |= numbers_after(own)

    # --- members that leave, and checkpoints ----------------------------------------------------

    def _reduce(self, staying: Sequence[int]) -> None:
        super()._reduce(staying)
        index = torch.tensor(staying, dtype=torch.int64, device=self.data.device)
        self.before = [[x.index_select(0, index) for x in tensors] for tensors in self.before]

    def _by_row(self) -> Tensors:
        before = {
            f"before.{k}.{i}": x for k, xs in enumerate(self.before) for i, x in enumerate(xs)
        }
        return {**super()._by_row(), **before}

    def _conditions(self) -> Conditions:
        return conditions(self.data.device, "stacked continual")
