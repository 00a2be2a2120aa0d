"""What a trial and a suite look like in MLflow: records in, names and numbers out.

Nothing here knows MLflow itself, only its limits: at most 1000 metrics, 100 parameters and 100 tags
a call, a megabyte a call, names of at most 250 characters from a small alphabet.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from initbench.results import SuiteResults
from initbench.store.identity import digest
from initbench.store.manifest import SuiteManifest, TrialEntry
from initbench.store.record import Record, TrialStatus

MOST_POINTS = 200
"""A longer curve is thinned for MLflow; the record keeps all of it."""

LONGEST_VALUE = 1000
"""MLflow refuses parameters above 6000 characters, and calls above a megabyte: a hundred parameters
of this length stay below both. The suite and the records hold everything in full."""

_LONGEST_NAME = 200
_FORBIDDEN = re.compile(r"[^\w.\- ]")

KIND = "initbench.kind"
SUITE_ID = "initbench.suite_id"
TRIAL = "initbench.trial"
CHECKSUM = "initbench.checksum"
"""Of what the run was made from; a terminated run with the right one is complete."""
IN_SUITE = "initbench.in_suite"
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True, order=True)
class Point:
    """One value of a metric."""

    name: str
    step: int
    value: float


@dataclass(frozen=True)
class TrialRun:
    """The child run of one trial."""

    name: str
    status: str  # FINISHED or FAILED
    started_ms: int
    ended_ms: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: list[Point]

    @property
    def checksum(self) -> str:
        """A digest of everything that this run shows, except for its times.

        Times come from the file system and change when a results folder is copied.
        """
        return digest({**asdict(self), "started_ms": None, "ended_ms": None})


@dataclass(frozen=True)
class SuiteRun:
    """The parent run of a suite."""

    name: str
    status: str  # FINISHED, or KILLED while trials are missing
    tags: dict[str, str]
    metrics: dict[str, float]
    artifacts: dict[str, str]  # text by path within the run

    @property
    def checksum(self) -> str:
        """A digest of everything that this run shows."""
        return digest(asdict(self))


def trial_run(
    manifest: SuiteManifest, entry: TrialEntry, record: Record, ended_seconds: float
) -> TrialRun:
    """Describe one trial of a suite.

    `ended_seconds` is when its record was committed, in seconds since 1970. Records hold durations
    only, so the start is that minus the wall time of all attempts.
    """
    ended_ms = round(1000 * ended_seconds)
    return TrialRun(
        name=clean(
            f"{entry.initialiser} on {entry.model}, {entry.dataset}, seed {entry.seed}",
            _LONGEST_NAME,
        ),
        status="FINISHED" if record.status is TrialStatus.DONE else "FAILED",
        started_ms=max(0, ended_ms - round(1000 * record.cost.wall_seconds)),
        ended_ms=ended_ms,
        params=_trial_params(entry, record),
        tags=_trial_tags(manifest, entry, record),
        metrics=sorted(_trial_metrics(record)),
    )


def suite_tags(manifest: SuiteManifest) -> dict[str, str]:
    """Return the tags by which everybody finds the runs of a suite."""
    return {
        SUITE_ID: manifest.id,
        "initbench.suite": clean(manifest.name),
        "initbench.profile": clean(manifest.profile or ""),
        "initbench.reduced": _text(manifest.reduced),
    }


def suite_name(manifest: SuiteManifest) -> str:
    """Return the name of the parent run."""
    name = manifest.name + (f", {manifest.profile}" if manifest.profile else "")
    return clean(" ".join([name, *manifest.overrides]), _LONGEST_NAME)


def suite_run(
    manifest: SuiteManifest, results: SuiteResults, artifacts: Mapping[str, str]
) -> SuiteRun:
    """Describe a suite; `artifacts` are the texts of further files, by path within the run."""
    statuses = list(results.trials.values())
    counts = {status: statuses.count(status) for status in (*TrialStatus, "missing")}
    note = "\n\n".join(
        part for part in (manifest.title, manifest.question, manifest.citation) if part
    )
    tags = {
        **suite_tags(manifest),
        KIND: "suite",
        "initbench.reference": clean(results.reference),
        "initbench.test": clean(results.test),
        "initbench.correction": clean(results.correction),
        "initbench.confidence": _text(results.confidence),
        "initbench.trials": _text(len(statuses)),
        **{f"initbench.trials.{status}": _text(count) for status, count in counts.items()},
        "mlflow.note.content": clean(note, 4000),
        "mlflow.source.name": clean(manifest.command),
    }
    files = {
        "suite.yaml": manifest.source,
        "trials.json": json.dumps([entry.model_dump() for entry in manifest.trials], indent=1),
        **artifacts,
    }
    return SuiteRun(
        name=suite_name(manifest),
        status="KILLED" if counts["missing"] else "FINISHED",
        tags=tags,
        metrics=_suite_metrics(results),
        artifacts={name: clean(text, None) for name, text in files.items()},
    )


def thin(count: int, most: int = MOST_POINTS) -> list[int]:
    """Return which of `count` points to keep: all, or `most` at most.

    Then the first, the last, and points between them whose distance grows geometrically: a curve
    changes most at its beginning.
    """
    if count <= most:
        return list(range(count))
    last = count - 1
    return sorted({0, *(round(last ** (i / (most - 2))) for i in range(most - 1))})


def clean(text: str, most: int | None = LONGEST_VALUE) -> str:
    """Return `text` as every MLflow store accepts it: no NUL, no lone surrogate, not too long.

    What is too long is cut, and ends with the number of characters and a digest of the whole.
    """
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    if most is None or len(text) <= most:
        return text
    whole = hashlib.sha256(text.encode()).hexdigest()[:16]
    end = f"... ({len(text)} characters, sha256 {whole})"
    return text[: most - len(end)] + end


def names(wanted: Iterable[str]) -> dict[str, str]:
    """Return a name that MLflow accepts for each wanted one, no two alike.

    Slashes stay where they separate non-empty parts: MLflow groups metrics by them.
    """
    accepted: dict[str, str] = {}
    taken: set[str] = set()
    for original in sorted(set(wanted)):
        parts = (_FORBIDDEN.sub("_", part) for part in original.split("/"))
        name = "/".join(part if part.strip(". ") else f"_{len(part)}" for part in parts)
        if len(name) > _LONGEST_NAME or name in taken:
            own = hashlib.sha256(original.encode("utf-8", "replace")).hexdigest()[:12]
            name = f"{name[:_LONGEST_NAME].rstrip('/')}-{own}"
        taken.add(name)
        accepted[original] = name
    return accepted


def _trial_params(entry: TrialEntry, record: Record) -> dict[str, str]:
    identity = record.identity
    wanted: dict[str, Any] = {
        "trial": record.key,
        "initialiser": entry.initialiser,
        "model": entry.model,
        "dataset": entry.dataset,
        "seed": entry.seed,
    }
    for part, prefix in (("initialiser", "initialiser"), ("model", "model"), ("data", "dataset")):
        tree = {**identity.get(part, {})}
        config = tree.pop("config", {})
        tree.pop("code", None)
        wanted.update(_flat(prefix, {**config, **tree}))
    wanted.update(_flat("recipe", identity.get("recipe", {})))
    accepted = names(wanted)
    return {accepted[name]: clean(_text(value)) for name, value in wanted.items()}


def _trial_tags(manifest: SuiteManifest, entry: TrialEntry, record: Record) -> dict[str, str]:
    notes = {note.label: note for note in manifest.initialisers}
    note = notes.get(entry.initialiser)
    tags = {
        **suite_tags(manifest),
        KIND: "trial",
        TRIAL: record.key,
        "initbench.status": record.status.value,
        "initbench.failure": _failure(record),
        "initbench.data_remarks": "; ".join(record.data_remarks),
        "initbench.attempts": _text(record.attempts),
        "initbench.scope": note.scope if note else "",
        "initbench.plugin": note.distribution if note else "",
        "initbench.plugin_version": note.distribution_version if note else "",
        "initbench.protocol": _text(record.identity.get("protocol")),
        "initbench.record_format": _text(record.format),
    }
    tags |= {name: _text(v) for name, v in _flat("initbench.environment", record.environment)}
    accepted = names(tags)
    return {accepted[name]: clean(value) for name, value in tags.items()}


def _failure(record: Record) -> str:
    return f"{record.failure.kind}: {record.failure.message}" if record.failure else ""


def _trial_metrics(record: Record) -> Iterator[Point]:
    cost = record.cost
    numbers = {
        **record.final,
        **_coverage(record),
        "cost.wall_seconds": cost.wall_seconds,
        "cost.device_seconds": cost.device_seconds,
        "cost.peak_memory_bytes": cost.peak_memory_bytes,
        "cost.images_seen": cost.images_seen,
        "cost.steps": cost.steps,
    }
    accepted = names([*record.curves, *numbers])
    for name, curve in record.curves.items():
        for i in thin(len(curve.values)):
            value = curve.values[i]
            if value is not None and math.isfinite(value):
                yield Point(accepted[name], curve.steps[i], value)
    for name, number in numbers.items():
        if name not in record.curves and math.isfinite(number):
            yield Point(accepted[name], 0, float(number))


def _coverage(record: Record) -> dict[str, float]:
    """Return the share of the network's elements by how they were treated."""
    total = sum(row.elements for row in record.coverage)
    shares: dict[str, float] = {}
    for row in record.coverage if total else []:
        name = f"coverage.{row.treatment}"
        shares[name] = shares.get(name, 0.0) + row.elements / total
    return shares


def _suite_metrics(results: SuiteResults) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in results.rows:
        _put(found, ("mean", row.measure, row.model, row.dataset, row.initialiser), row.mean)
    for c in results.comparisons:
        _put(found, ("p_corrected", c.measure, c.model, c.dataset, c.initialiser), c.p_corrected)
    for c in results.between_others:
        path = ("p_corrected", c.measure, c.model, c.dataset, c.initialiser, f"to {c.reference}")
        _put(found, path, c.p_corrected)
    accepted = names(found)
    return {accepted[name]: value for name, value in found.items()}


def _put(found: dict[str, float], path: Sequence[str], value: float | None) -> None:
    if value is not None and math.isfinite(value):
        # `names` makes an underscore of the bar and keeps labels apart that become alike.
        found["/".join(part.replace("/", "|") for part in path)] = float(value)


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings under dotted names; lists are leaves."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}.{name}", value)
        else:
            yield f"{prefix}.{name}", value


def _text(value: Any) -> str:
    """Return a leaf as text: strings as they are, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
