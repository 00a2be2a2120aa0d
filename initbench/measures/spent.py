"""What was spent: costs added up, those of a stack in equal shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.store.record import Cost, Record


class SpentConfig(Config):
    """What is counted, and over how many trainings zoo and fit are spread."""

    include: Annotated[
        Literal["train", "all"],
        Field(description="training alone, or also initialising and a share of zoo and fit"),
    ] = "all"
    trainings: Annotated[
        int, Field(ge=1, description="over which the cost of zoo and fit is spread")
    ] = 1


def device_seconds(costs: Sequence[Cost]) -> float:
    """Return the device seconds of all these together."""
    return sum(cost.device_seconds / cost.stack_size for cost in costs)


def energy_joules(costs: Sequence[Cost]) -> float | None:
    """Return the energy of all these together; None where that of one is not known."""
    known = [
        cost.energy_joules / cost.stack_size for cost in costs if cost.energy_joules is not None
    ]
    return sum(known) if len(known) == len(costs) else None


def costs_of(record: Record) -> list[Cost]:
    """Return what a trial cost: training, and initialising where that was measured."""
    return [record.cost, *([record.initialise_cost] if record.initialise_cost else [])]


def on_sharing(records: Sequence[Record]) -> str:
    """Say so where a device or a stack was shared: such times are not to be compared."""
    shared = sum(not r.cost.exclusive or r.cost.stack_size > 1 for r in records)
    if not shared:
        return ""
    return (
        f"{shared} of {len(records)} trials may have shared their device, or a stack: to be "
        "compared with care"
    )
