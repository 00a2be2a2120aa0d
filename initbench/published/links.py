"""Links: which part of the published table a suite repeats, under which of its labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from initbench.published.table import PublishedTable, Scalar, published_table
from initbench.store.manifest import MeasureNote, PublishedNote
from initbench.suite.expectations import suggestion
from initbench.suite.messages import Problem
from initbench.suite.schema import PublishedLink, Suite, label_of
from initbench.suite.yaml_reader import Node, NodePath

POINT = ("initialiser", "model", "dataset", "metric", "epoch", "threshold", "severity", "source")
"""What tells one published value of an experiment from another."""
_RENAMED = ("initialisers", "models", "datasets", "measures")
_LABELLED = ("initialisers", "models", "datasets")


@dataclass(frozen=True)
class Links:
    """The links of a suite, asked about single published values."""

    links: Sequence[PublishedNote]
    measures: Sequence[MeasureNote]
    table: PublishedTable

    @property
    def experiments(self) -> list[str]:
        """The published experiments that the suite repeats, in its order."""
        return list(dict.fromkeys(link.experiment for link in self.links))

    def to(self, experiment: str, point: Mapping[str, Scalar]) -> PublishedNote | None:
        """Return the first link that takes a published value; None where the suite leaves it out.

        Args:
            experiment: the published experiment.
            point: what is known of the value; any of `POINT`.
        """
        for link in self.links:
            if link.experiment == experiment and _takes(link, point):
                return link
        return None

    def measure(
        self, link: PublishedNote, metric: str, settings: Mapping[str, Scalar]
    ) -> MeasureNote | str:
        """Return the measure of the suite that stands for a published metric, or why there is none.

        A link that names a measure decides; otherwise it is the one that the published table
        describes, whatever its label.
        """
        if metric in link.measures:
            label = _filled(link.measures[metric], settings)
            named = [note for note in self.measures if note.label == label]
            return named[0] if named else f"the suite has no measure `{label}`"
        return self.described(link.experiment, metric, settings)

    def described(
        self, experiment: str, metric: str, settings: Mapping[str, Scalar]
    ) -> MeasureNote | str:
        """Return the measure that the published table describes, or why the suite has none."""
        described = self.table.metrics[metric]
        if described.measure is None:
            return "initbench does not measure it"
        wanted = described.wanted(experiment, settings)
        for note in self.measures:
            if note.name == described.measure and _agrees(note.config, wanted):
                return note
        shown = [f"{name}: {value}" for name, value in wanted.items() if value is not None]
        return f"the suite does not measure `{described.measure}`" + (
            f" with {', '.join(shown)}" if shown else ""
        )


def label(names: Mapping[str, str], published: str) -> str:
    """Return what a suite calls something published; the same, where it does not say."""
    return names.get(published, published)


def link_problems(suite: Suite, root: Node) -> Iterator[Problem]:
    """Yield what is wrong with the links of a suite file, those of its profiles included."""
    linked: list[tuple[NodePath, list[PublishedLink]]] = [(("published",), suite.published)]
    for name, profile in suite.profiles.items():
        linked.append((("profiles", name, "published"), profile.published or []))
    for path, links in linked:
        for i, link in enumerate(links):
            yield from _problems(suite, link, (*path, i), root)


def _problems(suite: Suite, link: PublishedLink, path: NodePath, root: Node) -> Iterator[Problem]:
    table = published_table()
    if link.experiment not in table.experiments:
        close = suggestion(link.experiment, list(table.experiments))
        text = f"`{link.experiment}` is no published experiment; {close}"
        yield Problem.at(root, (*path, "experiment"), text)
        return
    for key in link.only:
        if key not in POINT:
            text = f"published values have no `{key}`; {suggestion(key, list(POINT))}"
            yield Problem.at(root, (*path, "only", key), text, at_key=True)
    published = table.names(link.experiment)
    for kind in _RENAMED:
        for name in getattr(link, kind):
            if name not in published[kind]:
                close = suggestion(name, sorted(published[kind]))
                text = f"`{link.experiment}` has no `{name}` among its {kind}; {close}"
                yield Problem.at(root, (*path, kind, name), text, at_key=True)
    for kind in _LABELLED:
        labels = _labels(suite, kind)
        for name, ours in getattr(link, kind).items():
            if ours not in labels:
                text = f"no {kind[:-1]} has the label `{ours}`; {suggestion(ours, labels)}"
                yield Problem.at(root, (*path, kind, name), text)


def _labels(suite: Suite, kind: str) -> list[str]:
    """Return the labels of a suite and of its profiles: a profile may leave some of them out."""
    sections = [suite, *suite.profiles.values()]
    choices = [choice for section in sections for choice in getattr(section, kind) or ()]
    return list(dict.fromkeys(label_of(choice) for choice in choices))


def _takes(link: PublishedNote, point: Mapping[str, Scalar]) -> bool:
    for key, wanted in link.only.items():
        allowed = wanted if isinstance(wanted, list) else [wanted]
        if key in point and point[key] not in allowed:
            return False
    return True


def _agrees(config: Mapping[str, Any], wanted: Mapping[str, Scalar | None]) -> bool:
    return all(_at(config, key.split(".")) == value for key, value in wanted.items())


def _at(config: Any, path: Sequence[str]) -> Any:
    """Return what is at a path of a configuration; None where the path leads nowhere."""
    for key in path:
        config = config.get(key) if isinstance(config, Mapping) else None
    return config


def _filled(template: str, settings: Mapping[str, Scalar]) -> str:
    for name, value in settings.items():
        template = template.replace(f"{{{name}}}", str(value))
    return template
