"""Memory of data: what a plan's data sets take on each device, said and checked beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initbench.plugin.registry import Registry
    from initbench.suite.plan import Plan


@dataclass(frozen=True)
class DataNeed:
    """What one data set takes, at the size in which one of the models wants it."""

    name: str
    images: int
    size: int  # pixels
    streamed: bool
    resident_bytes: int  # on each device; 0 where images are streamed
    preparing_bytes: int  # on the CPU, once; 0 where they are prepared or streamed


def data_needs(plan: Plan, left: Plan, registry: Registry) -> Iterator[DataNeed]:
    """Yield the needs of all data of a plan, of which `left` remains to be done."""
    from initbench.data.memory import preparing_bytes, resident_bytes

    for key, data in plan.data.items():
        dataset = registry.dataset(data.dataset.name, data.dataset.config).thing
        sizes, channels, native = plan.split_sizes[key], dataset.channels, dataset.native_size
        held = not dataset.streamed
        prepared = key not in left.data
        yield DataNeed(
            name=data.dataset.name,
            images=sum(sizes.values()),
            size=data.size,
            streamed=dataset.streamed,
            resident_bytes=resident_bytes(sizes, channels, data.size) if held else 0,
            preparing_bytes=(
                preparing_bytes(sizes, channels, native, data.size) if held and not prepared else 0
            ),
        )


def model_remarks(plan: Plan, registry: Registry) -> Iterator[str]:
    """Yield what the models of a plan have to say before their networks are built, by label."""
    said = set()
    for entry in plan.manifest.trials:
        if (entry.model, entry.dataset) in said:
            continue
        said.add((entry.model, entry.dataset))
        trial = plan.trials[entry.key]
        model = registry.model(trial.model.name, trial.model.config).thing
        reference = trial.data.dataset
        dataset = registry.dataset(reference.name, reference.config).thing
        if remark := model.remark(dataset.channels, trial.data.size, dataset.classes):
            yield f"{entry.model}: {remark}"


def check_memory(plan: Plan, left: Plan, registry: Registry, device: str) -> None:
    """Refuse data that would not fit into main memory; workers check that of their GPU.

    Raises UserError that says how much a data set needs, how much there is, and what to do.
    """
    from initbench.data.memory import available_bytes, check_preparing, check_resident

    free = available_bytes("cpu")
    needed = {trial.data.key for trial in left.all_trials.values()}
    for key, need in zip(plan.data, data_needs(plan, left, registry), strict=True):
        if key in needed:
            check_preparing(need.name, need.preparing_bytes, free)
            if device == "cpu":  # one copy for all workers, which map the same file
                check_resident(need.name, need.resident_bytes, free)
