"""Continual learning of one member: tasks one after another (`tasks` has the equations)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch

from initbench.data.dataset import SplitName
from initbench.data.device_data import DeviceData
from initbench.models.hypernetwork.network import TASK_EMBEDDINGS
from initbench.training.checkpoint import Conditions, Tensors, conditions
from initbench.training.evaluation import Scores, evaluate
from initbench.training.outcome import Member, Progress, Trained
from initbench.training.recipe import Recipe
from initbench.training.tasks import Tasks, check_network, mean_of, numbers_after
from initbench.training.trainer import Run, train


def train_continually(
    members: Sequence[Member],
    data: DeviceData,
    recipe: Recipe,
    *,
    on_progress: Callable[[int, Progress], None] | None = None,
) -> list[Trained]:
    """Train `members` on the tasks of `data` in turn, each for the recipe's epochs.

    As `train` does, one after the other. Besides what it records: the loss on the validation images
    of all tasks so far, and at the end of task t the test loss of each task k so far
    (`test_loss.task_k.after_t`, from 1).

    Raises UserError where recipe, data and network do not go together.
    """
    return train(members, data, recipe, on_progress=on_progress, kind=ContinualRun)


class ContinualRun(Run):
    """One member on its way through the tasks."""

    def __init__(
        self,
        member: Member,
        data: DeviceData,
        recipe: Recipe,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        super().__init__(member, data, recipe, on_progress)
        check_network(member.network, recipe.tasks)
        self.tasks = Tasks(data, recipe, self.steps_per_epoch)
        self.theta = {
            name: parameter
            for name, parameter in self.network.named_parameters()
            if parameter.requires_grad and name != TASK_EMBEDDINGS
        }
        self.before: list[list[torch.Tensor]] = []  # generated for earlier tasks, before this one

    def take_step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Take one step on the present task, whose images these are."""
        task = self.tasks.at(self.step)
        if self.tasks.begins(self.step):
            with torch.no_grad():
                self.before = [self._generated(k) for k in range(task)]
        self.forward = partial(self.network, task=task)
        rate = self.schedule.rate(self.step)
        super().take_step(images, labels)  # of the embedding, and the tentative one
        if self.before and self.tasks.beta:
            self._draw_back(rate)

    def _draw_back(self, rate: float) -> None:
        """Draw what is generated for earlier tasks to what it was before this one."""
        change = torch.zeros((), device=self.data.device)
        for k, before in enumerate(self.before):
            for now, then in zip(self._generated(k), before, strict=True):
                change = change + (now - then).square().sum()
        loss = self.tasks.beta * change / len(self.before)
        gradients = torch.autograd.grad(loss, list(self.theta.values()), allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(self.theta.values(), gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=rate)

    def _generated(self, task: int) -> list[torch.Tensor]:
        generated: list[torch.Tensor] = self.network.get_submodule("generator")(0, task)
        return generated

    # --- what is looked at ----------------------------------------------------------------------

    def _scores(self, split: SplitName, *, batch_statistics: bool = False) -> Scores:
        """Return the scores on the validation images of the tasks so far, or on all test images."""
        if split == "test":
            return super()._scores(split, batch_statistics=batch_statistics)
        return mean_of(self._scores_so_far(split))

    def _scores_so_far(self, split: SplitName) -> list[Scores]:
        return [evaluate(self.network, part, split) for part in self.tasks.so_far(self.step)]

    def _initial_numbers(self) -> dict[str, float]:
        return super()._initial_numbers() | self.tasks.guessing()

    def _test_if_asked(self, epoch: int) -> None:
        super()._test_if_asked(epoch)
        if self.tasks.begins(self.step):
            self.numbers |= numbers_after(self._scores_so_far("test"))

    # --- checkpoints ----------------------------------------------------------------------------

    def _conditions(self) -> Conditions:
        return conditions(self.data.device, "continual")

    def _memory(self) -> Tensors:
        return {
            f"{k}.{i}": tensor
            for k, tensors in enumerate(self.before)
            for i, tensor in enumerate(tensors)
        }

    def _remember(self, memory: Tensors) -> None:
        found: dict[int, dict[int, torch.Tensor]] = {}
        for name, tensor in memory.items():
            k, i = map(int, name.split("."))
            found.setdefault(k, {})[i] = tensor.to(self.data.device)
        self.before = [[found[k][i] for i in sorted(found[k])] for k in sorted(found)]
