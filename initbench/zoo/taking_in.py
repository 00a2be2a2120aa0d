"""Taking in a zoo that was handed on: everything is checked before anything is stored."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from initbench.errors import CorruptRecordError, UserError
from initbench.plugin.guard import contained
from initbench.store import blobs
from initbench.store.identity import digest
from initbench.store.record import (
    PROTOCOL_VERSION,
    RECORD_FORMAT,
    Blob,
    Record,
    TrialStatus,
)
from initbench.suite.trial import Trial
from initbench.zoo.bundle import INDEX, File, Index, Shard

if TYPE_CHECKING:
    import torch

    from initbench.plugin.registry import Registry
    from initbench.store.store import StoreWriter

NOTE = "imported from the export of another results folder"

_MOST_INDEX_BYTES = 256_000_000

Tensors = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class TakenIn:
    """What became of an export."""

    key: str
    added: int
    already_there: int
    warnings: tuple[str, ...]


def take_in(path: Path, writer: StoreWriter, registry: Registry) -> TakenIn:
    """Store the trials of an export, `path` being its folder or its index.

    A trial that the store has already stays as it is. Raises UserError or CorruptRecordError,
    before anything is stored, for files that are not what the index says, records that are not
    those of one zoo, and weights that do not fit the model or are not finite.
    """
    folder, index = read_index(path)
    records = _records(folder, index)
    warnings = _check_model(index, registry)
    for shard in index.shards:
        for seed, tensors in _weights(folder, shard, index):
            _check_finite(seed, tensors, folder / shard.file)
    seeds = [seed for shard in index.shards for seed in shard.seeds]
    done = [seed for seed, record in records.items() if record.status is TrialStatus.DONE]
    if sorted(seeds) != done:
        raise UserError(f"`{folder / INDEX}`: its shards hold other networks than its records")
    added = 0
    for record in records.values():
        if record.status is not TrialStatus.DONE:
            added += _store(writer, record, None)
    for shard in index.shards:
        for seed, tensors in _weights(folder, shard, index):
            added += _store(writer, records[seed], tensors)
    return TakenIn(index.key, added, len(records) - added, tuple(warnings))


def read_index(path: Path) -> tuple[Path, Index]:
    """Return the folder of an export and its index; raise UserError for anything else."""
    folder = path if path.is_dir() else path.parent
    file = folder / INDEX
    if not path.is_dir() and path.name != INDEX:
        raise UserError(f"`{path}`: expected the folder of an export, or the `{INDEX}` in it")
    try:
        if file.stat().st_size > _MOST_INDEX_BYTES:
            raise UserError(f"`{file}` is too large to be the index of a zoo")
        text = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read `{file}`: {error.strerror}; expected the folder that "
            "`initbench zoo export` made"
        ) from error
    try:
        index = Index.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"`{file}` is no index of a zoo: {place}: {first['msg']}") from error
    if digest(index.identity) != index.key:
        raise UserError(f"`{file}`: its key is not the digest of its identity")
    return folder, index


def _records(folder: Path, index: Index) -> dict[int, Record]:
    """Return the records of an export by seed, rising."""
    path = folder / index.records.file
    records = {}
    for number, line in enumerate(_verified(folder, index.records).splitlines(), start=1):
        try:
            record = Record.model_validate_json(line)
            json.dumps(record.model_dump(), allow_nan=False)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise UserError(f"`{path}`, line {number}: no record: {problem}") from error
        except ValueError as error:
            raise UserError(f"`{path}`, line {number}: a number is not finite") from error
        if reason := _misfit(record, index):
            raise UserError(f"`{path}`, line {number}: {reason}")
        records[record.identity["seed"]] = record
    return dict(sorted(records.items()))


def _misfit(record: Record, index: Index) -> str | None:
    """Say why a record is not one of this zoo, or not one that this version can use."""
    identity = {name: value for name, value in record.identity.items() if name != "seed"}
    made = (record.format, identity.get("format"), identity.get("protocol"))
    if made != (RECORD_FORMAT, RECORD_FORMAT, PROTOCOL_VERSION):
        return (
            f"it is of record format {made[0]} and protocol {made[2]}, this version of initbench "
            f"has {RECORD_FORMAT} and {PROTOCOL_VERSION}; their numbers must not be mixed"
        )
    if digest(record.identity) != record.key:
        return "its key is not the digest of its identity"
    if identity != index.identity or not isinstance(record.identity.get("seed"), int):
        return "it is of another zoo than the index"
    if record.status is TrialStatus.LOST:
        return "the trial was lost: it has no outcome"
    if record.status is TrialStatus.DONE and record.kept_epochs != index.kept_epochs:
        return "it kept other epochs than the index says"
    return None


def _check_model(index: Index, registry: Registry) -> list[str]:
    """Check names, shapes and types against the model; return what to warn of."""
    import torch

    try:
        trial = Trial.of({**index.identity, "seed": 0})
        recipe = registry.recipe(None, trial.recipe).model_dump(mode="json")
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError("the identity in the index is not that of a trial") from error
    if recipe != trial.recipe or recipe["evaluation"].get("kept_epochs", []) != index.kept_epochs:
        raise UserError("the recipe in the index is not complete, or it keeps other epochs")
    model = registry.model(trial.model.name, trial.model.config)
    dataset = registry.dataset(trial.data.dataset.name, trial.data.dataset.config)
    with torch.random.fork_rng(devices=[]):
        network = contained(
            lambda: model.thing.build(
                dataset.thing.channels, trial.data.size, dataset.thing.classes
            )
        ).result(f"model `{trial.model.name}`")
    expected = {name: (list(x.shape), str(x.dtype)) for name, x in network.state_dict().items()}
    found = {p.name: (p.shape, f"torch.{p.dtype}") for p in index.parameters}
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            raise UserError(
                f"the networks of this zoo do not fit model `{trial.model.name}`: expected "
                f"`{name}` to be {_shown(expected.get(name))}, found {_shown(found.get(name))}"
            )
    changed = [
        reference.name
        for reference, here in (
            (trial.model, model.reference),
            (trial.data.dataset, dataset.reference),
        )
        if reference.tree() != here.tree()
    ]
    return [
        f"`{name}` has other code here than where the zoo was trained: suites on this machine "
        "will not take these networks for theirs"
        for name in changed
    ]


def _shown(found: tuple[list[int], str] | None) -> str:
    return "absent" if found is None else f"{found[1].removeprefix('torch.')} {tuple(found[0])}"


def _verified(folder: Path, file: File) -> bytes:
    """Return the content of a file that is what the index says."""
    path = folder / file.file
    try:
        info = path.lstat()
        if not stat.S_ISREG(info.st_mode) or info.st_size != file.bytes:
            raise CorruptRecordError(
                f"`{path}` is not the file in the index: expected {file.bytes} bytes, found "
                + (f"{info.st_size}" if stat.S_ISREG(info.st_mode) else "no regular file")
            )
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read `{path}`: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != file.digest:
        raise CorruptRecordError(f"`{path}` is corrupt: its content does not fit its digest")
    return data


def _weights(folder: Path, shard: Shard, index: Index) -> Iterator[tuple[int, Tensors]]:
    """Yield seed and weights of the members of a shard, by the names that the store uses."""
    path = folder / shard.file
    data = _verified(folder, shard)
    tensors = blobs.decode(data, Blob(digest=shard.digest, bytes=shard.bytes), path)
    found = {name: (list(x.shape), str(x.dtype)) for name, x in tensors.items()}
    expected = dict(_expected(len(shard.seeds), index))
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            raise UserError(
                f"`{path}`: expected `{name}` to be {_shown(expected.get(name))}, found "
                f"{_shown(found.get(name))}"
            )
    for row, seed in enumerate(shard.seeds):
        yield seed, {name: x[row] for name, x in tensors.items()}


def _expected(members: int, index: Index) -> Iterator[tuple[str, tuple[list[int], str]]]:
    for p in index.parameters:
        kind = f"torch.{p.dtype}"
        for which in ("best", "last"):
            yield f"{which}.{p.name}", ([members, *p.shape], kind)
        if index.kept_epochs:
            yield f"kept.{p.name}", ([members, len(index.kept_epochs), *p.shape], kind)


def _check_finite(seed: int, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"`{path}`: `{name}` of the network with seed {seed} is not finite")


def _store(writer: StoreWriter, record: Record, weights: Tensors | None) -> int:
    """Store a trial, unless it is there already with its weights; return how many were added."""
    known = writer.record(record.key)
    has_all = known and (known.weights is None or writer.has_blob(known.weights))
    if known and known.status is not TrialStatus.LOST and has_all:
        return 0
    notes: dict[str, Any] = {"weights": None, "notes": [*record.notes, NOTE]}
    writer.commit(record.model_copy(update=notes), weights)
    return 1
