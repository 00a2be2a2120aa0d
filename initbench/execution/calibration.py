"""Calibration: how many trials to train as one stack.

On a CPU a short measurement decides, once for a kind of trial and a machine: a stack saves the
overhead of many small operations, but its operations are slower ones, and the last bits of a trial
depend on its neighbours; so it must be worth it, and there must be many trials. On a GPU stacks are
as large as its memory allows.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from initbench.execution.speeds import Kind, Speeds, gpu_name
from initbench.suite.trial import Trial

if TYPE_CHECKING:
    import torch

    from initbench.data.device_data import DeviceData
    from initbench.execution.run import Resources
    from initbench.plugin.registry import Registry
    from initbench.suite.plan import Plan
    from initbench.training.estimate import DataShape
    from initbench.training.outcome import Member
    from initbench.training.recipe import Recipe

WORTH = 1.3
"""How many times faster a stack must be on a CPU."""

CPU_STACKS = (25, 100)
"""The sizes of stack that are tried on a CPU."""

MANY = 20
"""Trials of one kind from which on stacks are considered on a CPU unless a run asks for them."""

MOST_STACKED = 1000
"""Trials of a job on a GPU, whose worker divides them by its free memory."""

_SLOW_SECONDS = 0.05
"""A network whose step takes longer on a CPU keeps a core busy: nothing is to be saved."""

_LEFT_FREE = 0.2
"""Of a GPU's free memory, for evaluations and for what else may want it."""


@dataclass(frozen=True)
class Choice:
    """How trials of one kind are trained on a CPU."""

    model: str
    dataset: str
    batch_size: int
    stack: int
    seconds: dict[int, float]  # of a step, by size of stack; empty where it cannot be measured

    def __str__(self) -> str:
        what = f"{self.model} on {self.dataset}, batches of {self.batch_size}"
        how = "one by one" if self.stack == 1 else f"in stacks of {self.stack}"
        sizes = [size for size in self.seconds if size > 1]
        if not sizes or 1 not in self.seconds:
            return f"{what}: {how}"
        fastest = min(sizes, key=lambda size: self.seconds[size])
        ratio = self.seconds[1] / self.seconds[fastest]
        return f"{what}: {how}; a stack of {fastest} was {ratio:.2f} times as fast as one by one"


class Calibration:
    """Knows, or finds out, how fast each kind of trial of a plan is here, and what stack it needs.

    What it finds out is remembered.
    """

    def __init__(self, plan: Plan, registry: Registry, resources: Resources) -> None:
        self._plan = plan
        self._registry = registry
        self._resources = resources
        self._on_cpu = resources.device == "cpu"
        self._workers = max(len(resources.slots), 1)

    @cached_property
    def _speeds(self) -> Speeds:
        slots = self._resources.slots
        variables = slots[0].environment if slots else {}
        return Speeds("cpu" if self._on_cpu else gpu_name(variables))

    def stack_size(self, trial: Trial, trials: int) -> int:
        """Return how many of `trials` trials of the kind of `trial` make a job.

        No more than leave work for every worker.
        """
        if not self._may_stack(trials):
            return 1
        most = self._cpu_stack(trial) if self._on_cpu else MOST_STACKED
        return min(most, -(-trials // self._workers))

    def _may_stack(self, trials: int) -> bool:
        asked = self._resources.stack
        if self._resources.devices_per_trial > 1 or trials < 2 or asked is False:
            return False
        return asked or not self._on_cpu or trials >= MANY

    def choices(self, trials: Iterable[Trial]) -> list[Choice]:
        """Return what was chosen on a CPU for each kind of `trials` that may be stacked.

        A kind about which nothing is remembered is measured.
        """
        if not self._on_cpu:
            return []
        found = []
        for group in by_kind(trials).values():
            if self._may_stack(len(group)):
                size = self.stack_size(group[0], len(group))
                kind, _, _ = self._described(group[0])
                model, dataset = group[0].model.name, group[0].data.dataset.name
                found.append(Choice(model, dataset, kind.batch_size, size, self._speeds.get(kind)))
        return found

    def known_seconds(self, trial: Trial, trials: int) -> float | None:
        """Return the seconds a trial takes one worker, from what is remembered; None if nothing is.

        `trials` is the number of trials of its kind. An evaluation of an image is taken for a third
        of a training step on it.
        """
        from initbench.training.estimate import images_evaluated
        from initbench.training.schedule import total_steps

        kind, shape, recipe = self._described(trial)
        known = self._speeds.get(kind)
        if not known:
            return None
        if self._on_cpu:
            size = verdict(known) if self._may_stack(trials) else 1
            if size not in known:
                return None
            seconds = known[size]
        else:
            most = max(trials // self._workers, min(known))
            seconds = min(each for size, each in known.items() if size <= most)
        evaluated = images_evaluated(shape, recipe) / recipe.batch_size / 3
        return seconds * (total_steps(recipe, shape.train) + evaluated)

    def _cpu_stack(self, trial: Trial) -> int:
        try:
            kind, shape, recipe = self._described(trial)
            known = self._speeds.get(kind)
            if 1 not in known or (len(known) == 1 and known[1] < _SLOW_SECONDS):
                known |= measured(self.network(trial), shape, recipe)
                self._speeds.put(kind, known)
        except Exception:  # of a model or recipe: the trial itself will say what is wrong
            return 1
        return verdict(known)

    def network(self, trial: Trial) -> torch.nn.Module:
        """Return a network like that of `trial`; global random state stays as it is."""
        import torch

        model = self._registry.model(trial.model.name, trial.model.config).thing
        shape = self.shape(trial)
        with torch.random.fork_rng(devices=[]):
            return model.laid_out(model.build(shape.channels, shape.image_size, shape.classes))

    def shape(self, trial: Trial) -> DataShape:
        """Return the shape of the data of `trial`."""
        from initbench.training.estimate import DataShape

        reference = trial.data.dataset
        dataset = self._registry.dataset(reference.name, reference.config).thing
        sizes = self._plan.split_sizes[trial.data.key]
        return DataShape(
            train=sizes["train"],
            validation=sizes["validation"],
            test=sizes["test"],
            channels=dataset.channels,
            image_size=trial.data.size,
            classes=dataset.classes,
        )

    def _described(self, trial: Trial) -> tuple[Kind, DataShape, Recipe]:
        from initbench.training.recipe import Recipe

        shape = self.shape(trial)
        recipe = Recipe.model_validate(trial.recipe, strict=False)
        kind = Kind(
            trial.model.tree(),
            shape.channels,
            shape.image_size,
            shape.classes,
            recipe.batch_size,
            recipe.precision,
        )
        return kind, shape, recipe


def by_kind(trials: Iterable[Trial]) -> dict[tuple[str, str, str], list[Trial]]:
    """Group trials that take the same time: equal model, data and recipe."""
    groups: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        groups[(str(trial.model.tree()), trial.data.key, str(trial.recipe))].append(trial)
    return groups


# --- on a CPU -----------------------------------------------------------------------------------


def verdict(seconds: dict[int, float]) -> int:
    """Return the size of stack to use: 1 unless one is worth it.

    `seconds` are those of a step of one network, by size of stack, that of size 1 included.
    """
    fastest = min(seconds, key=lambda size: seconds[size])
    return fastest if seconds.get(1, 0.0) > WORTH * seconds[fastest] else 1


def measured(network: torch.nn.Module, shape: DataShape, recipe: Recipe) -> dict[int, float]:
    """Return the CPU seconds of a step of one network alone, and in a stack if it is a small one.

    A network that cannot be in a stack is as fast there as alone. Takes about a second; longer only
    for a network whose single step does.
    """
    from initbench.training.allocator import keep_freed_memory
    from initbench.training.estimate import seconds_per_stacked_step, seconds_per_step

    keep_freed_memory()  # as a worker does
    alone = seconds_per_step(network, shape, recipe)
    if alone >= _SLOW_SECONDS:
        return {1: alone}
    stacked = {s: seconds_per_stacked_step(network, shape, recipe, s) or alone for s in CPU_STACKS}
    return {1: alone, **stacked}


# --- on a GPU -----------------------------------------------------------------------------------


def fitting_stack(members: Sequence[Member], data: DeviceData, recipe: Recipe) -> int:
    """Return how many of `members` fit into the GPU's free memory as one stack.

    Takes a few steps of copies of the first member in stacks of two and of four.
    """
    if data.device.type != "cuda" or len(members) < 4:
        return len(members)
    import torch

    free, _ = torch.cuda.mem_get_info(data.device)
    free += torch.cuda.memory_reserved(data.device) - torch.cuda.memory_allocated(data.device)
    try:
        two, four = (_peak_bytes(members[0], size, data, recipe) for size in (2, 4))
    except torch.OutOfMemoryError:
        return 1
    finally:
        torch.cuda.empty_cache()
    return min(largest_stack(free, two, four), len(members))


def largest_stack(free: int, two: int, four: int) -> int:
    """Return the largest stack for `free` bytes where stacks of two and of four take so many."""
    each = max((four - two) / 2, 1)
    rest = (1 - _LEFT_FREE) * free - (two - 2 * each)
    return max(int(rest / each), 1)


def _peak_bytes(member: Member, size: int, data: DeviceData, recipe: Recipe) -> int:
    """Return what a few steps of a stack take on top of what is taken already."""
    import torch

    from initbench.training.cuda_graph import WARM_UP
    from initbench.training.numerics import reproducible
    from initbench.training.outcome import Member
    from initbench.training.stacked_run import StackedRun

    before = torch.cuda.memory_allocated(data.device)
    torch.cuda.reset_peak_memory_stats(data.device)
    with reproducible(member.seed, data.device):
        copies = [Member(copy.deepcopy(member.network), member.seed) for _ in range(size)]
        run = StackedRun(copies, data, recipe.model_copy(update={"continual": None}))
        run.stack.network.train()
        run.batches.start()
        for _ in range(WARM_UP + 1):  # the last one is recorded as a graph
            run.take_step(min(recipe.batch_size, len(data.train) // (WARM_UP + 1)))
    return torch.cuda.max_memory_allocated(data.device) - before
