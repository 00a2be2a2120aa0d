"""Claims about what a suite repeats: the trials that each of them is checked with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from initbench.published.claims import Rules, Scene, check
from initbench.published.links import label
from initbench.published.table import Claim, Scalar, every
from initbench.reporting.cells import Cell, capped
from initbench.reporting.comparisons import broken_streams
from initbench.reporting.counterparts import Counterparts, Found
from initbench.results import ClaimCheck
from initbench.store.manifest import PublishedNote


def checked_claims(suite: Counterparts) -> Iterator[ClaimCheck]:
    """Check the claims about the experiments that a suite repeats, in the order of the table."""
    manifest = suite.manifest
    rules = Rules(manifest.test, manifest.correction, manifest.confidence)
    for claim in suite.table.claims:
        scenes: list[Scene] = []
        links: list[PublishedNote] = []
        places = list(product(claim.models, claim.datasets, every(claim.settings)))
        for model, dataset, settings in places:
            point = {"model": model, "dataset": dataset, "metric": claim.metric, **settings}
            link = suite.links.to(claim.experiment, point)
            if link is not None:
                scenes.append(_scene(suite, claim, link, model, dataset, settings))
                links.append(link)
        if scenes:
            conditions = _conditions(suite, claim, links)
            if len(scenes) < len(places):
                shown = "; ".join(dict.fromkeys(scene.place for scene in scenes))
                conditions.append(f"checked only on {shown}: the suite repeats no more")
            yield check(claim, scenes, rules, conditions)


def _scene(
    suite: Counterparts,
    claim: Claim,
    link: PublishedNote,
    model: str,
    dataset: str,
    settings: Mapping[str, Scalar],
) -> Scene:
    names = (*claim.initialisers, *claim.others)
    all_of_them = {
        name: suite.find(link, name, model, dataset, claim.metric, settings) for name in names
    }
    present = {name: ours.found for name, ours in all_of_them.items() if ours.found}
    missing = {name: ours.reason for name, ours in all_of_them.items() if not ours.found}
    scene = Scene(model, dataset, settings, missing=missing, threshold=claim.value)
    if not present:
        return scene
    row = next(iter(present.values())).row
    unit = suite.table.unit(claim.metric, claim.unit) if claim.unit else None
    if unit is not None and unit.unit != row.unit:
        reason = f"published in {unit.unit}, measured in {row.unit or 'no unit'}"
        return replace(scene, missing=dict.fromkeys(names, reason))
    return replace(
        scene,
        measure=row.measure,
        unit=row.unit,
        direction=row.direction,
        margin=suite.manifest.margins.get(row.measure),
        threshold=claim.value * unit.factor if unit and claim.value is not None else None,
        values={name: _values(found) for name, found in present.items()},
        unpaired=_unpaired({name: found.cell for name, found in present.items()}),
    )


def _values(found: Found) -> dict[int, float]:
    """Return the values as tests of means take them: misses capped (rule 4)."""
    return capped(found.measure, found.cell, found.row.values)


def _unpaired(cells: Mapping[str, Cell]) -> Callable[[str, str], str]:
    def because(first: str, second: str) -> str:
        if first not in cells or second not in cells:
            return ""
        return broken_streams(cells[first], cells[second])

    return because


def _conditions(suite: Counterparts, claim: Claim, links: Sequence[PublishedNote]) -> list[str]:
    datasets = [label(link.datasets, name) for link in links for name in claim.datasets]
    names = [*claim.initialisers, *claim.others]
    labels = [label(link.initialisers, name) for link in links for name in names]
    conditions = suite.conditions_of_run(datasets, labels)
    conditions += dict.fromkeys(text for link in links for text in link.differs)
    return conditions
