"""Data-parallel training: one member on several devices, one process (rank) a device.

The batch size of a recipe is that of all ranks together. Each takes its share of every batch of
the one order that a single process would go through, gradients and batch norm are those of the
whole batch, and splits are evaluated in shares. So the outcome is that of a single process, to
rounding, which a long training makes larger as it does on another machine; only what a network
draws while it trains (dropout) depends on the number of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch.nn.parallel import DistributedDataParallel

from initbench.data.dataset import SplitName
from initbench.data.device_data import DeviceData
from initbench.errors import StoreError, UserError
from initbench.store.record import Cost
from initbench.streams import Stream, stream_seed
from initbench.training.checkpoint import Conditions, conditions, generator_states
from initbench.training.evaluation import Scores, evaluate
from initbench.training.outcome import Member, Progress, Trained
from initbench.training.ranks import Ranks
from initbench.training.recipe import Recipe
from initbench.training.synchronised import SynchronisedBatchNorm
from initbench.training.trainer import Run, check_recipe


def train_together(
    member: Member,
    data: DeviceData,
    recipe: Recipe,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train a member together with the other ranks of torch.distributed's default group.

    Every rank calls this with the same member, recipe and data, on a device of its own. The first
    one's weights count, it alone is asked to report progress and writes checkpoints, and all return
    the same outcome; `cost` is that of all ranks, its peak memory that of the largest.

    Raises UserError where the recipe does not fit data, device or number of ranks; what a network
    raises on one rank is raised there, and the others wait until somebody ends them.
    """
    if recipe.continual is not None:
        raise UserError("recipe: `continual` trains on one device; leave out `--devices-per-trial`")
    ranks = Ranks.here()
    check_recipe(recipe, len(data.train), data.device)
    check_batches(recipe, len(data.train), ranks.count)
    return _SharedRun(member, data, recipe, ranks, on_progress).trained()


def check_batches(recipe: Recipe, images: int, ranks: int) -> None:
    """Raise UserError where a batch has too few images for each of `ranks` to get one."""
    rest = 0 if recipe.drop_last else images % recipe.batch_size
    smallest = rest or recipe.batch_size
    if smallest < ranks:
        raise UserError(
            f"a batch of {smallest} images cannot be shared by {ranks} devices (`batch_size` is "
            f"{recipe.batch_size}, the training split has {images} images); use at most "
            f"{smallest} devices per trial"
        )


class _SharedRun(Run):
    """One rank's part in the training of a member."""

    def __init__(
        self,
        member: Member,
        data: DeviceData,
        recipe: Recipe,
        ranks: Ranks,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        super().__init__(member, data, recipe, on_progress if ranks.rank == 0 else None)
        self.ranks = ranks
        self.forward = DistributedDataParallel(self.network)
        self.batch_images = 0  # in the batch of the present step, of all ranks
        self.draws_while_training = False

    def trained(self) -> Trained:
        trained = super().trained()
        note = f"trained on {self.ranks.count} devices"
        if self.draws_while_training:
            note += ", on whose number its random draws (dropout) depend"
        notes = [*trained.attempt_notes, note]
        return replace(trained, cost=self._whole_cost(trained.cost), attempt_notes=notes)

    def take_step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Take one optimiser step on this rank's share of a batch."""
        position = self.step % self.steps_per_epoch * self.recipe.batch_size
        self.batch_images = min(self.recipe.batch_size, len(self.data.train) - position)
        super().take_step(images, labels)
        self.images_seen += self.batch_images - len(labels)

    def _share(self, batch: torch.Tensor) -> torch.Tensor:
        return self.ranks.share(batch)

    def _loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return this rank's mean loss, so weighted that the mean over ranks is that of the batch.

        DistributedDataParallel averages gradients over ranks, whose shares may differ by an image.
        """
        # Dropout: other draws on each rank, and the same when the step is taken again.
        draw = 1 + self.step * self.ranks.count + self.ranks.rank
        torch.manual_seed(stream_seed(self.seed, Stream.TRAINING, draw))
        before = generator_states(self.data.device)
        with SynchronisedBatchNorm(self.ranks):
            loss = super()._loss(images, labels)
        if not self.draws_while_training:
            after = generator_states(self.data.device)
            self.draws_while_training = any(not after[k].equal(x) for k, x in before.items())
        return loss * (len(labels) * self.ranks.count / self.batch_images)

    def _whole(self, loss: torch.Tensor) -> torch.Tensor:
        return self.ranks.total(loss.double()) / self.ranks.count

    def _scores(self, split: SplitName, *, batch_statistics: bool = False) -> Scores:
        return evaluate(
            self.network, self.data, split, batch_statistics=batch_statistics, ranks=self.ranks
        )

    def _whole_cost(self, cost: Cost) -> Cost:
        here = torch.tensor(
            [cost.device_seconds, cost.peak_memory_bytes, _or_nan(cost.energy_joules)],
            dtype=torch.float64,
            device=self.data.device,
        )
        seconds, peaks, energies = self.ranks.gathered(here).unbind(1)
        energy = energies.sum().item()
        whole = {
            "device_seconds": seconds.sum().item(),
            "peak_memory_bytes": int(peaks.max().item()),
            "devices": self.ranks.count,
            "energy_joules": None if math.isnan(energy) else energy,
        }
        return cost.model_copy(update=whole)

    # --- checkpoints ----------------------------------------------------------------------------

    def _keep_if_due(self) -> None:
        if self.ranks.rank == 0:
            super()._keep_if_due()

    def _take_up(self) -> None:
        super()._take_up()
        steps = self.ranks.gathered(torch.tensor([self.step], device=self.data.device))
        if len(steps.unique()) > 1:
            raise StoreError(
                f"not every process found the checkpoint of this trial: they are at steps "
                f"{steps.flatten().tolist()}"
            )

    def _conditions(self) -> Conditions:
        return conditions(self.data.device, f"shared by {self.ranks.count}")


def _or_nan(x: float | None) -> float:
    return math.nan if x is None else x
