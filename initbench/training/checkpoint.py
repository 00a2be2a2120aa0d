"""Checkpoints: a long training goes on where it was stopped, to the same bits.

Nothing is kept that follows from recipe and seed: the order of images and how they are augmented
are drawn again, and the plateau schedule is shown the evaluations again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from initbench.errors import CorruptRecordError, StoreError, UserError
from initbench.store.checkpoint import CheckpointFile
from initbench.store.environment import environment, scrub
from initbench.store.record import Cost
from initbench.training.evaluation import Scores
from initbench.training.outcome import History, Point, stacked, unstacked

CHECKPOINT_SECONDS = 60.0
"""Seconds of training between two checkpoints, unless the user wants others."""

MOST_OF_THE_TIME = 0.02
"""The largest share of the time that is spent on checkpoints: on a slow disk they become rarer."""

Tensors = dict[str, torch.Tensor]

Kept = TypeVar("Kept")
DescriptionT = TypeVar("DescriptionT", bound=BaseModel)


@dataclass(frozen=True)
class Snapshot:
    """All that the rest of a member's training depends on, besides its data, recipe and seed.

    The tensors may be those that are trained: whoever keeps a snapshot copies them before the next
    step, and whoever restores one copies them back.
    """

    step: int
    images_seen: int
    loss_sum: float  # of the steps since the last evaluation; float64
    loss_steps: int
    numbers: dict[str, float]  # from before training
    history: History
    scaler: dict[str, int | float]  # state of the GradScaler; empty where none is used
    cost: Cost  # so far, earlier attempts included
    memory: Tensors  # what a kind of training keeps of its own
    network: Tensors  # parameters and buffers, as `network_state` has them
    optimiser: Sequence[Tensors]  # the state of each trainable parameter, in order
    generators: Tensors  # states of torch's global generators (dropout), by type of device


# --- what a snapshot is made of -----------------------------------------------------------------


def network_state(network: torch.nn.Module) -> Tensors:
    """Return the parameters and all buffers of a network, also those that it does not save."""
    return dict(network.named_parameters()) | dict(network.named_buffers())


def restore_network(network: torch.nn.Module, state: Tensors) -> None:
    """Copy `state` into the tensors of `network`, whose layout in memory stays."""
    with torch.no_grad():
        for name, tensor in network_state(network).items():
            tensor.copy_(state[name])


def optimiser_state(optimiser: torch.optim.Optimizer) -> list[Tensors]:
    """Return what an optimiser of one group remembers of each parameter: nothing at the start."""
    (group,) = optimiser.param_groups
    return [
        {name: x for name, x in optimiser.state[parameter].items() if isinstance(x, torch.Tensor)}
        if parameter in optimiser.state
        else {}
        for parameter in group["params"]
    ]


def restore_optimiser(optimiser: torch.optim.Optimizer, states: Sequence[Tensors]) -> None:
    """Let an optimiser of one group remember `states`."""
    (group,) = optimiser.param_groups
    parameters = group["params"]
    state = {
        i: {name: _laid_out(tensor, parameter) for name, tensor in tensors.items()}
        for i, (parameter, tensors) in enumerate(zip(parameters, states, strict=True))
        if tensors
    }
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _laid_out(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Return a copy of `tensor`; what is as large as its parameter is laid out in memory like it.

    Fused kernels walk both in the order of memory, as if their strides were the same.
    """
    if tensor.shape != parameter.shape:
        return tensor.clone()
    return torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def generator_states(device: torch.device) -> Tensors:
    """Return the states of the global generators that a network on `device` draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_generators(device: torch.device, states: Tensors) -> None:
    """Set the global generators to `states`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


# --- when it is kept, and where -----------------------------------------------------------------

Conditions = dict[str, str | int | None]


def conditions(device: torch.device, loop: str) -> Conditions:
    """Return what decides about bits besides the trial: an attempt goes on under the same only."""
    now = environment()
    processor = "device" if device.type == "cuda" else "cpu"
    names = ("torch", "cuda", "cudnn", "machine", "threads", processor)
    return {"loop": loop, "type": device.type} | {name: now[name] for name in names}


class Checkpoints:
    """When the checkpoints of one training are written, and what is noted about them.

    At most one every `seconds` of training: so none is written of what takes less. With 0 seconds
    every step is kept.
    """

    def __init__(self, file: CheckpointFile, seconds: float = CHECKPOINT_SECONDS) -> None:
        self.notes: list[str] = []
        """Where this attempt and those before went on from, and what was in the way."""
        self._file = file
        self._seconds = seconds
        self._pause = seconds
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Say whether it is time for another checkpoint."""
        return time.monotonic() - self._last >= self._pause

    def _read(self, restored: Callable[[dict[str, Any], Tensors], Kept]) -> Kept | None:
        """Return what `restored` makes of the checkpoint; None, and a note, where that fails."""
        self._last = time.monotonic()
        try:
            kept = self._file.read()
            return None if kept is None else restored(*kept)
        except (StoreError, UserError) as error:
            self.notes.append(scrub(f"did not continue from a checkpoint: {error}"))
            return None

    def _write(self, content: Callable[[], tuple[dict[str, Any], Tensors]]) -> None:
        """Write a checkpoint; if that fails, training goes on and a note says so."""
        began = time.monotonic()
        try:
            self._file.write(*content())
        except StoreError as error:
            note = scrub(f"a checkpoint could not be written: {error}")
            if note not in self.notes:
                self.notes.append(note)
        self._last = time.monotonic()
        if self._seconds:
            self._pause = max(self._seconds, (self._last - began) / MOST_OF_THE_TIME)


class Keeper(Checkpoints):
    """Keeps the checkpoint of one member."""

    def found(self, network: torch.nn.Module, now: Conditions) -> Snapshot | None:
        """Return where an earlier attempt left the member, if it left something to go on from.

        A checkpoint that is damaged, of another network or made under other conditions is left
        alone, with a note. The time until the next one begins here.
        """
        found = self._read(lambda tree, tensors: _restored(tree, tensors, network, now))
        if found is None:
            return None
        snapshot, notes = found
        self.notes += [*notes, f"continued from step {snapshot.step}"]
        return snapshot

    def keep(self, snapshot: Snapshot, now: Conditions) -> None:
        """Write a checkpoint; if that fails, training goes on and a note says so."""
        self._write(lambda: _description_and_tensors(snapshot, now, self.notes))


# --- the form on disk ---------------------------------------------------------------------------


def _from_hexadecimal(text: object) -> object:
    return float.fromhex(text) if isinstance(text, str) else text


Number = Annotated[float, BeforeValidator(_from_hexadecimal), PlainSerializer(float.hex)]
"""Any float, also those that JSON lacks: NaN and the infinities."""


class Part(BaseModel):
    """A part of a checkpoint's description; anything else in its place is corrupt."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Evaluation(Part):
    step: int
    accuracy: Number | None
    loss: Number
    train_loss: Number | None
    learning_rate: Number | None
    layers: dict[str, list[Number]] = {}


class _Description(Part):
    """A snapshot without its tensors."""

    conditions: Conditions
    notes: list[str]
    step: int
    images_seen: int
    loss_sum: Number
    loss_steps: int
    numbers: dict[str, Number]
    evaluations: list[_Evaluation]
    best_index: int
    kept_epochs: list[int] = []
    scaler: dict[str, int | float]
    cost: Cost


def _description_and_tensors(
    snapshot: Snapshot, now: Conditions, notes: list[str]
) -> tuple[dict[str, Any], Tensors]:
    description = _Description(
        conditions=now,
        notes=notes,
        step=snapshot.step,
        images_seen=snapshot.images_seen,
        loss_sum=snapshot.loss_sum,
        loss_steps=snapshot.loss_steps,
        numbers=snapshot.numbers,
        evaluations=[
            _Evaluation(
                step=point.step,
                accuracy=point.validation.accuracy,
                loss=point.validation.loss,
                train_loss=point.train_loss,
                learning_rate=point.learning_rate,
                layers=point.layers,
            )
            for point in snapshot.history.points
        ],
        best_index=snapshot.history.best_index,
        kept_epochs=list(snapshot.history.kept),
        scaler=snapshot.scaler,
        cost=snapshot.cost,
    )
    groups = {
        "memory": snapshot.memory,
        "network": snapshot.network,
        "best": snapshot.history.best,
        "kept": stacked(list(snapshot.history.kept.values())),
        "generators": snapshot.generators,
        **{f"optimiser{i}": state for i, state in enumerate(snapshot.optimiser)},
    }
    tensors = {f"{group}.{name}": x for group, xs in groups.items() for name, x in xs.items()}
    return description.model_dump(), tensors


def described(tree: Mapping[str, Any], model: type[DescriptionT], now: Conditions) -> DescriptionT:
    """Return the description in a checkpoint that was made under the conditions of `now`.

    Raises StoreError for other conditions, CorruptRecordError if it is none.
    """
    made = tree.get("conditions")
    if isinstance(made, dict) and made != now:
        changed = ", ".join(
            f"{name} {made.get(name)} instead of {now.get(name)}"
            for name in sorted({*made, *now})
            if made.get(name) != now.get(name)
        )
        raise StoreError(f"it was made with {changed}")
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise CorruptRecordError(f"it is corrupt: {error.errors()[0]['msg']}") from error


def _restored(
    tree: Mapping[str, Any], tensors: Tensors, network: torch.nn.Module, now: Conditions
) -> tuple[Snapshot, list[str]]:
    """Return the snapshot that was kept, and its notes.

    Raises CorruptRecordError if it does not fit `network`, StoreError for other conditions.
    """
    kept = described(tree, _Description, now)
    trainable = [p for p in network.parameters() if p.requires_grad]
    snapshot = Snapshot(
        step=kept.step,
        images_seen=kept.images_seen,
        loss_sum=kept.loss_sum,
        loss_steps=kept.loss_steps,
        numbers=kept.numbers,
        history=History(
            points=[
                Point(x.step, Scores(x.accuracy, x.loss), x.train_loss, x.learning_rate, x.layers)
                for x in kept.evaluations
            ],
            best_index=kept.best_index,
            best=group(tensors, "best"),
            kept=unstacked(group(tensors, "kept"), kept.kept_epochs),
        ),
        scaler=kept.scaler,
        cost=kept.cost,
        memory=group(tensors, "memory"),
        network=group(tensors, "network"),
        optimiser=[group(tensors, f"optimiser{i}") for i in range(len(trainable))],
        generators=group(tensors, "generators"),
    )
    alike = shapes(snapshot.network) == shapes(network_state(network))
    states = [snapshot.history.best, *snapshot.history.kept.values()]
    if not alike or any(shapes(state) != shapes(network.state_dict()) for state in states):
        raise CorruptRecordError("it is one of another network")
    return snapshot, kept.notes


def group(tensors: Tensors, name: str) -> Tensors:
    """Return the tensors whose names begin with `name` and a point, by the rest of their names."""
    prefix = f"{name}."
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}


def shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return what two groups of tensors must have in common for one to be copied to the other."""
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
