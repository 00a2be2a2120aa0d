"""What probes saw, by the place in the suite for which they looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from initbench.probes.probe import Observation
from initbench.store.manifest import ObservationEntry, SuiteManifest
from initbench.store.record import TrialStatus

if TYPE_CHECKING:
    from initbench.store.store import Store


@dataclass(frozen=True)
class Observed:
    """Observations of a suite: found by measure and cell, read from the store when needed."""

    entries: tuple[ObservationEntry, ...] = ()
    store: Store | None = None
    marks: Mapping[str, Sequence[str]] = field(default_factory=dict)  # by label of a data set
    _read: dict[str, Observation | None] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store, manifest: SuiteManifest) -> Observed:
        """Return what the store holds of a suite's observations."""
        marks = {dataset.label: dataset.marks for dataset in manifest.datasets}
        return cls(tuple(manifest.observations), store, marks)

    def of_cell(self, label: str, names: Mapping[str, str]) -> Observation | None:
        """Return what was seen of a cell for the measure `label`; None if nothing was yet."""
        return self._find(label, names, None)

    def of_trial(self, label: str, names: Mapping[str, str], seed: int) -> Observation | None:
        """Return what was seen of a trial for the measure `label`; None if nothing was yet."""
        return self._find(label, names, seed)

    def note(self, label: str, names: Mapping[str, str]) -> str:
        """Return what must be said about other images than those of the cell; often nothing."""
        for entry in self.entries:
            place = {"initialiser": entry.initialiser, "model": entry.model}
            if label in entry.measures and {**place, "dataset": entry.dataset} == names:
                marks = ", ".join(self.marks.get(entry.images or "", []))
                return f"{entry.images}: {marks}" if marks else ""
        return ""

    def failures(self) -> dict[str, list[str]]:
        """Return, by message, the measures and cells whose probe raised."""
        found: dict[str, list[str]] = {}
        for entry in self.entries:
            stored = self.store.artifact(entry.key) if self.store else None
            if stored is not None and stored.failure is not None:
                place = f"{', '.join(entry.measures)} of {entry.initialiser}"
                found.setdefault(stored.failure.message, []).append(place)
        return found

    def _find(self, label: str, names: Mapping[str, str], seed: int | None) -> Observation | None:
        place = (label, names["initialiser"], names["model"], names["dataset"], seed)
        key = self._keys.get(place)
        if key is None:
            return None
        if key not in self._read:
            self._read[key] = self._load(key)
        return self._read[key]

    @cached_property
    def _keys(self) -> dict[tuple[str, str, str, str, int | None], str]:
        return {
            (label, entry.initialiser, entry.model, entry.dataset, entry.seed): entry.key
            for entry in self.entries
            for label in entry.measures
        }

    def _load(self, key: str) -> Observation | None:
        stored = self.store.artifact(key) if self.store else None
        if self.store is None or stored is None or stored.status is not TrialStatus.DONE:
            return None
        tensors = self.store.tensors(stored) if stored.blob else {}
        return Observation(tensors, stored.description)
