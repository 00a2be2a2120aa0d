"""The form in which a zoo is handed on: a folder that needs no initbench to be read.

    zoo.json                 the index: what the zoo is, its members, their accuracies, the split
    records.jsonl            the record of each trial, a line each
    shard-0000.safetensors   weights: `best.NAME` and `last.NAME` are (members, ...), `kept.NAME` is
    ...                      (members, epochs, ...); members and epochs are in the index

Each file but the index is in the index by its SHA-256. A shard is meant to be mapped into memory:
what is not used is not read.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from initbench.errors import UserError
from initbench.store import atomic
from initbench.store.record import Record, TrialStatus
from initbench.zoo.describe import SPLIT_RULE
from initbench.zoo.members import test_after, validation_after
from initbench.zoo.stored import Part, StoredZoo

if TYPE_CHECKING:
    import torch

    from initbench.store.artifact import StoredArtifact
    from initbench.store.store import Store

INDEX = "zoo.json"
RECORDS = "records.jsonl"

MOST_MEMBERS = 100
MOST_BYTES = 256_000_000
"""Of a shard: it is checked in memory."""

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class File(_Model):
    """A file of the folder, verified before anything in it is looked at."""

    file: Annotated[str, Field(pattern=r"^(records\.jsonl|shard-[0-9]{4,6}\.safetensors)$")]
    digest: _Digest
    bytes: Annotated[int, Field(ge=0)]


class Shard(File):
    """The weights of some members, in the order of `seeds`."""

    seeds: list[int]


class Parameter(_Model):
    """A tensor of the state dictionary of each network."""

    name: str
    shape: list[Annotated[int, Field(ge=0)]]
    dtype: str


class Accuracy(_Model):
    """What a member achieves after an epoch (0: before training)."""

    epoch: int
    validation: float | None
    test: float | None


class MemberEntry(_Model):
    """A network that trained to the end."""

    seed: int
    key: _Digest
    part: Part | None  # of the split by model; None where there are too few networks
    best_validation_accuracy: float | None
    accuracies: list[Accuracy]


class Index(_Model):
    """What the folder holds."""

    format: Literal[1] = 1
    kind: Literal["initbench zoo"] = "initbench zoo"
    key: _Digest
    identity: dict[str, Any]  # of each trial, without its seed
    split: str = SPLIT_RULE
    kept_epochs: list[int]
    parameters: list[Parameter]
    members: list[MemberEntry]
    trials: dict[str, int]  # how many ended in which way
    records: File
    shards: list[Shard]


def export(zoo: StoredZoo | StoredArtifact, store: Store, folder: Path) -> Index:
    """Write a zoo into a new or empty folder; the index comes last.

    Raises UserError for a folder that holds something, a zoo without a trained network, or one
    that others trained.
    """
    if not isinstance(zoo, StoredZoo):
        where = f"; its weights are in `{store.blob_path(zoo.blob)}`" if zoo.blob else ""
        raise UserError(
            f"zoo {zoo.key[:12]} was trained by others, who hand it on themselves{where}"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"`{folder}` is there already and not empty; name a new folder")
    if not zoo.done:
        raise UserError(f"no network of zoo {zoo.key[:12]} trained to the end: nothing to export")
    first = store.states(zoo.done[0])
    parameters = [
        Parameter(name=name, shape=list(tensor.shape), dtype=str(tensor.dtype).partition(".")[2])
        for name, tensor in first["last"].items()
    ]
    records = [r for r in zoo.records.values() if r.status is not TrialStatus.LOST]
    lines = "".join(f"{record.model_dump_json()}\n" for record in records)
    parts = zoo.parts
    shards = [
        _shard(store, members, number, folder)
        for number, members in enumerate(_shares(zoo.done, _bytes(first)))
    ]
    index = Index(
        key=zoo.key,
        identity=dict(zoo.identity),
        kept_epochs=zoo.kept_epochs,
        parameters=parameters,
        members=[_entry(record, parts, zoo.epochs) for record in zoo.done],
        trials=zoo.counts,
        records=_written(folder / RECORDS, lines.encode()),
        shards=shards,
    )
    text = json.dumps(index.model_dump(), indent=1, ensure_ascii=False, allow_nan=False)
    atomic.write_bytes(folder / INDEX, text.encode())
    return index


def _shares(records: Sequence[Record], each: int) -> list[Sequence[Record]]:
    """Divide members into shards, of whom each takes so many bytes."""
    size = min(MOST_MEMBERS, max(1, MOST_BYTES // max(each, 1)))
    return [records[start : start + size] for start in range(0, len(records), size)]


def _bytes(states: Mapping[str, Mapping[str, torch.Tensor]]) -> int:
    return sum(tensor.nbytes for state in states.values() for tensor in state.values())


def _shard(store: Store, records: Sequence[Record], number: int, folder: Path) -> Shard:
    import safetensors.torch
    import torch

    states = [store.states(record) for record in records]
    tensors = {
        f"{which}.{name}": torch.stack([state[which][name] for state in states])
        for which, tensors in states[0].items()
        for name in tensors
    }
    file = _written(folder / f"shard-{number:04}.safetensors", safetensors.torch.save(tensors))
    return Shard(**file.model_dump(), seeds=[record.identity["seed"] for record in records])


def _written(path: Path, data: bytes) -> File:
    atomic.write_bytes(path, data)
    return File(file=path.name, digest=hashlib.sha256(data).hexdigest(), bytes=len(data))


def _entry(record: Record, parts: Mapping[int, Part], epochs: Sequence[int]) -> MemberEntry:
    seed = record.identity["seed"]
    return MemberEntry(
        seed=seed,
        key=record.key,
        part=parts.get(seed),
        best_validation_accuracy=record.final.get("validation_accuracy.best"),
        accuracies=[
            Accuracy(
                epoch=epoch,
                validation=_finite(validation_after(record, epoch)),
                test=test_after(record, epoch),
            )
            for epoch in epochs
        ],
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
