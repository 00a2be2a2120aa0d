"""Members of a zoo, as the store has them: weights are views of mapped files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initbench.plugin.sources import Checkpoint, Zoo, ZooMember
from initbench.store.record import Record, TrialStatus

if TYPE_CHECKING:
    import torch

    from initbench.store.store import Store


def zoo_of(store: Store, keys: Sequence[str]) -> Zoo:
    """Return the zoo of these trials: the networks of those that trained to the end."""
    records = [store.record(key) for key in keys]
    done = [record for record in records if record and record.status is TrialStatus.DONE]
    members = [member_of(store, record) for record in done]
    return Zoo(members, missing=len(keys) - len(members))


def member_of(store: Store, record: Record) -> ZooMember:
    """Return a trial that trained to the end as a member of a zoo."""
    states = store.states(record)
    return ZooMember(
        seed=record.identity["seed"],
        best=states["best"],
        last=states["last"],
        validation_accuracy=record.final.get("validation_accuracy.best", math.nan),
        checkpoints={
            epoch: Checkpoint(
                KeptState(states["kept"], row),
                validation_after(record, epoch),
                test_after(record, epoch),
            )
            for row, epoch in enumerate(record.kept_epochs)
        },
    )


def validation_after(record: Record, epoch: int) -> float:
    """Return the validation accuracy after an epoch; NaN where there is none (a regression)."""
    curve = record.curves.get("validation_accuracy")
    known = {} if curve is None else dict(zip(curve.epochs, curve.values, strict=True))
    value = known.get(epoch)
    return math.nan if value is None else value


def test_after(record: Record, epoch: int) -> float | None:
    """Return the test accuracy after an epoch, if the test images were looked at then."""
    names = {0: "initial", last_epoch(record.identity["recipe"]): "last"}
    return record.final.get(f"test_accuracy.{names.get(epoch, f'epoch_{epoch}')}")


def last_epoch(recipe: Mapping[str, Any]) -> int:
    """Return the epoch with which a recipe ends: of all its tasks, where it has several."""
    tasks = recipe.get("continual", {"tasks": 1})["tasks"]
    return int(recipe["epochs"] * tasks)


@dataclass(frozen=True)
class KeptState(Mapping[str, "torch.Tensor"]):
    """The state dictionary at one row of tensors (epochs, ...): each a view of the file.

    Of a zoo of 1,000 networks with 51 epochs each, nothing is read but what is used.
    """

    tensors: Mapping[str, torch.Tensor]
    row: int

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.tensors[name][self.row]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)
