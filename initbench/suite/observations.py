"""Observations of a plan: what the measures of a suite must look at, on which trials."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from initbench.errors import UserError
from initbench.measures.measure import PopulationMeasure, probe_of
from initbench.plugin.guard import contained
from initbench.store.manifest import ObservationEntry, TrialEntry
from initbench.suite.schema import Choice, label_of
from initbench.suite.trial import DataReference, Observing, Reference

if TYPE_CHECKING:
    from initbench.data.dataset import DataSet
    from initbench.measures.measure import Measure
    from initbench.plugin.registry import Registry
    from initbench.probes.probe import Probe, ProbeImages

RegisterData = Callable[["DataSet[Any]", Reference, int, str], DataReference]
"""Registers images of a data set, under a label, at a size."""


@dataclass(frozen=True)
class Observations:
    """Collects what is to be looked at; measures that need the same share it."""

    registry: Registry
    register_data: RegisterData
    observing: dict[str, Observing] = field(default_factory=dict)  # by key
    entries: dict[tuple[str, str], ObservationEntry] = field(default_factory=dict)
    """By key and label of the initialiser: two labels may stand for the same trials."""

    def add(
        self,
        measure: Measure[Any],
        reference: Reference,
        dataset: DataSet[Any],
        data: DataReference,
        trials: Sequence[TrialEntry],
    ) -> None:
        """Register what a measure must look at on trials of one model and data set.

        Raises:
            UserError: the measure wants images that networks trained on `dataset` cannot see.
        """
        probe = contained(lambda: probe_of(measure)).result(f"measure `{measure.label()}`")
        if probe is None:
            return
        looked_at, images = self._images(probe.images(), dataset, data)
        if isinstance(measure, PopulationMeasure):
            self._check_part(measure.part(), looked_at)
        for group in _groups(trials, probe):
            observing = Observing(
                reference, probe.tree(), looked_at, data.key, tuple(e.key for e in group)
            )
            self.observing.setdefault(observing.key, observing)
            self._enter(observing.key, measure.label(), group, probe, images)

    def _enter(
        self, key: str, label: str, group: Sequence[TrialEntry], probe: Probe, images: str | None
    ) -> None:
        first = group[0]
        entry = self.entries.setdefault(
            (key, first.initialiser),
            ObservationEntry(
                key=key,
                measures=[],
                initialiser=first.initialiser,
                model=first.model,
                dataset=first.dataset,
                seed=first.seed if probe.scope == "trial" else None,
                images=images,
            ),
        )
        entry.measures.append(label)

    def _images(
        self, images: ProbeImages | None, trained_on: DataSet[Any], data: DataReference
    ) -> tuple[DataReference, str | None]:
        """Return the images to look at, and their label where they are others than `data`.

        They come at the size that the networks were trained with.
        """
        if images is None:
            return data, None
        chosen = self.registry.dataset(images.name, images.config)
        for what in ("classes", "channels"):
            expected, got = getattr(trained_on, what), getattr(chosen.thing, what)
            if expected != got:
                raise UserError(
                    f"networks trained on `{trained_on.name}` cannot be looked at with the images "
                    f"of `{images.name}`: expected {expected} {what}, got {got}"
                )
        label = label_of(Choice.model_validate({"name": images.name, **images.config}))
        looked_at = self.register_data(chosen.thing, chosen.reference, data.size, label)
        return looked_at, None if looked_at.key == data.key else label

    def _check_part(self, part: str | None, data: DataReference) -> None:
        name, config = data.dataset.name, data.dataset.config
        parts = self.registry.dataset(name, config).thing.parts()
        if part is not None and part not in parts:
            raise UserError(
                f"the test images of `{name}` have no part `{part}`; expected "
                + (", ".join(f"`{known}`" for known in parts) or "none, as they have no parts")
            )


def _groups(trials: Sequence[TrialEntry], probe: Probe) -> list[list[TrialEntry]]:
    """Return the trials that are looked at together, each group in the order of its seeds."""
    ordered = sorted(trials, key=lambda entry: entry.seed)
    if probe.scope == "trial":
        return [[entry] for entry in ordered]
    cells: dict[str, list[TrialEntry]] = {}
    for entry in ordered:
        cells.setdefault(entry.initialiser, []).append(entry)
    return list(cells.values())
