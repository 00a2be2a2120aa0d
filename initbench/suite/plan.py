"""Plans: the jobs a suite amounts to, as a directed acyclic graph.

`expand` resolves every name of a suite against the installed plugins and returns the trials, the
fittings they need, the zoo trials these need in turn, and the data all of them need. `pending`
drops, from the leaves up, whatever the store already holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from initbench.errors import InitbenchError, PluginError, UserError
from initbench.plugin.guard import contained
from initbench.plugin.initialiser import Target
from initbench.plugin.sources import Source, ZooSource
from initbench.store.manifest import (
    DatasetNote,
    InitialiserNote,
    MeasureChoice,
    SuiteManifest,
    TrialEntry,
)
from initbench.suite.load import label_of
from initbench.suite.schema import Choice
from initbench.suite.trial import DataReference, Fitting, Reference, Trial

if TYPE_CHECKING:
    import torch

    from initbench.data.dataset import DataSet, SplitName
    from initbench.data.identify import Identified
    from initbench.models.anatomy import Anatomy
    from initbench.models.model import Model
    from initbench.plugin.initialiser import Initialiser
    from initbench.plugin.registry import Registry, Resolved
    from initbench.suite.load import LoadedSuite
    from initbench.suite.yaml_reader import NodePath

Identify = Callable[["DataSet[Any]", Reference], "Identified"]

_DEEPEST_NESTING = 4
"""Zoos of generative initialisers of zoos of ...: beyond this depth it is a cycle."""


@dataclass(frozen=True)
class Plan:
    """What a suite amounts to: its own trials, and what they need."""

    manifest: SuiteManifest
    trials: dict[str, Trial]  # by key, in the order in which they should run
    zoo_trials: dict[str, Trial]
    fittings: dict[str, Fitting]
    data: dict[str, DataReference]
    split_sizes: dict[str, Mapping[SplitName, int]]  # by key of the data: images of each split

    @cached_property
    def all_trials(self) -> dict[str, Trial]:
        """Zoo trials first: others wait for what is learnt from them."""
        return {**self.zoo_trials, **self.trials}

    def pending(
        self,
        is_done: Callable[[str], bool],
        can_teach: Callable[[str], bool],
        has_artifact: Callable[[str], bool],
    ) -> Plan:
        """Return the part of this plan that remains to be done.

        `is_done` tells whether a trial's record stands, `can_teach` whether its weights are there
        as well, should it have left any, and `has_artifact` whether a fitted state or prepared
        data set is stored.
        """
        trials = {key: trial for key, trial in self.trials.items() if not is_done(key)}
        zoo_trials: dict[str, Trial] = {}
        fittings: dict[str, Fitting] = {}
        wanted = [trial.artifact for trial in trials.values() if trial.artifact]
        while wanted:
            key = wanted.pop()
            if key in fittings or has_artifact(key):
                continue
            fittings[key] = self.fittings[key]
            for zoo_key in self.fittings[key].zoo_trials:
                if zoo_key not in zoo_trials and not can_teach(zoo_key):
                    zoo_trials[zoo_key] = self.all_trials[zoo_key]
                    if artifact := zoo_trials[zoo_key].artifact:
                        wanted.append(artifact)
        needed = {t.data.key for t in [*trials.values(), *zoo_trials.values()]}
        for fitting in fittings.values():
            needed |= set(data_needed(fitting))
        data = {k: v for k, v in self.data.items() if k in needed and not has_artifact(k)}
        return replace(self, trials=trials, zoo_trials=zoo_trials, fittings=fittings, data=data)


def data_needed(fitting: Fitting) -> Iterator[str]:
    """Yield the keys of the prepared data that a fitting reads."""
    yield fitting.data.key
    for source in fitting.sources:
        if source["kind"] == "data":
            yield DataReference.of(source["data"]).key


def expand(loaded: LoadedSuite, registry: Registry, identify: Identify) -> Plan:
    """Resolve a suite into a plan; `identify` tells what images a data set has on this machine.

    Raises:
        UserError: a name nobody provides, a configuration that does not validate, or an
            initialiser that does not support one of the models, with the place in the file.
    """
    return _Expansion(loaded, registry, identify).plan()


@dataclass
class _Resolved:
    """One choice of a suite: its label, its place in the file and what it resolved to."""

    label: str
    path: str
    thing: Any
    reference: Reference


@dataclass
class _Expansion:
    loaded: LoadedSuite
    registry: Registry
    identify: Identify
    trials: dict[str, Trial] = field(default_factory=dict)
    zoo_trials: dict[str, Trial] = field(default_factory=dict)
    fittings: dict[str, Fitting] = field(default_factory=dict)
    data: dict[str, DataReference] = field(default_factory=dict)
    split_sizes: dict[str, Mapping[SplitName, int]] = field(default_factory=dict)
    entries: list[TrialEntry] = field(default_factory=list)
    _identified: dict[str, Identified] = field(default_factory=dict)
    _notes: dict[str, DatasetNote] = field(default_factory=dict)
    _anatomies: dict[tuple[str, int, int, int], Anatomy] = field(default_factory=dict)

    def plan(self) -> Plan:
        suite = self.loaded.suite
        models = self._resolve("models", suite.models, self.registry.model)
        datasets = self._resolve("datasets", suite.datasets, self.registry.dataset)
        initialisers = self._resolve("initialisers", suite.initialisers, self.registry.initialiser)
        measures = self._resolve("measures", suite.measures, self.registry.measure)
        with self._at("recipe"):
            recipe = self.registry.recipe(
                suite.recipe.name, suite.recipe.config, suite.recipe.scale
            )
        recipe_tree = recipe.model_dump(mode="json")
        seeds = self.loaded.seeds

        for model, dataset in product(models, datasets):
            data = self._data(dataset, model.thing)
            with self._at(model.path):
                anatomy = self._anatomy(model.thing, model.reference, dataset.thing, data.size)
            for initialiser in initialisers:
                self._check_support(initialiser, model, anatomy)
            targets = {
                initialiser.label: self._fitting_key(
                    initialiser.thing,
                    initialiser.reference,
                    (model.thing, model.reference),
                    (dataset.thing, data),
                    recipe_tree,
                    anatomy,
                )
                for initialiser in initialisers
            }
            # Seeds first: an interrupted run then has about as many trials of each initialiser.
            for seed, initialiser in product(seeds, initialisers):
                trial = Trial(
                    initialiser=initialiser.reference,
                    model=model.reference,
                    data=data,
                    recipe=recipe_tree,
                    seed=seed,
                    artifact=targets[initialiser.label],
                )
                self.trials[trial.key] = trial
                self.entries.append(
                    TrialEntry(
                        key=trial.key,
                        initialiser=initialiser.label,
                        model=model.label,
                        dataset=dataset.label,
                        seed=seed,
                        artifact=trial.artifact,
                    )
                )
        manifest = self._manifest(initialisers, measures)
        self._check_margins(manifest)
        zoo_trials = {k: t for k, t in self.zoo_trials.items() if k not in self.trials}
        return Plan(manifest, self.trials, zoo_trials, self.fittings, self.data, self.split_sizes)

    def _resolve(
        self,
        section: str,
        choices: Iterable[Choice],
        resolve: Callable[[str, Mapping[str, Any]], Resolved[Any]],
    ) -> list[_Resolved]:
        found = []
        for i, choice in enumerate(choices):
            path = f"{section}[{i}]"
            with self._at(path):
                resolved = resolve(choice.name, choice.config)
            found.append(_Resolved(label_of(choice), path, resolved.thing, resolved.reference))
        return found

    def _at(self, path: str | NodePath) -> _Located:
        return _Located(self.loaded, path)

    def _data(self, dataset: _Resolved, model: Model[Any]) -> DataReference:
        size = model.image_size() or dataset.thing.native_size
        with self._at(dataset.path):
            return self._register_data(dataset.thing, dataset.reference, size, dataset.label)

    def _register_data(
        self, dataset: DataSet[Any], reference: Reference, size: int, label: str
    ) -> DataReference:
        name = str(reference.tree())
        if name not in self._identified:
            self._identified[name] = self.identify(dataset, reference)
        known = self._identified[name]
        self._notes.setdefault(label, _dataset_note(label, dataset, reference, known))
        data = DataReference(reference, size, known.fingerprint)
        self.data[data.key] = data
        self.split_sizes[data.key] = known.sizes
        return data

    def _anatomy(
        self, model: Model[Any], reference: Reference, dataset: DataSet[Any], size: int
    ) -> Anatomy:
        import torch

        from initbench.models.tracing import anatomy

        key = (str(reference.tree()), dataset.channels, size, dataset.classes)
        if key not in self._anatomies:
            network = self._network(model, dataset, size)
            example = torch.zeros(2, dataset.channels, size, size)
            self._anatomies[key] = anatomy(network, example)
        return self._anatomies[key]

    def _network(self, model: Model[Any], dataset: DataSet[Any], size: int) -> torch.nn.Module:
        outcome = contained(lambda: model.build(dataset.channels, size, dataset.classes))
        if isinstance(outcome.error, UserError):
            raise outcome.error
        return outcome.result(
            f"model `{model.name}`, built for `{dataset.name}` ({dataset.channels} channels, "
            f"{size}x{size} pixels, {dataset.classes} classes),"
        )

    def _check_support(self, initialiser: _Resolved, model: _Resolved, anatomy: Anatomy) -> None:
        with self._at(initialiser.path):
            support = contained(lambda: initialiser.thing.supports(anatomy)).result(
                f"initialiser `{initialiser.label}`, asked what it supports,"
            )
            if not support.supported:
                raise UserError(
                    f"initialiser `{initialiser.label}` does not support model `{model.label}`: "
                    f"{support.reason}; take one of them out, or leave it out with `--only`"
                )

    def _fitting_key(
        self,
        initialiser: Initialiser[Any],
        reference: Reference,
        model: tuple[Model[Any], Reference],
        data: tuple[DataSet[Any], DataReference],
        recipe: dict[str, Any],
        anatomy: Anatomy,
        depth: int = 0,
    ) -> str | None:
        """Register what an initialiser must learn for a target; return the artifact's key."""
        if depth > _DEEPEST_NESTING:
            raise PluginError(
                f"initialiser `{initialiser.name}` asks for a zoo that asks for a zoo, and so on, "
                f"more than {_DEEPEST_NESTING} deep: this looks like a cycle in its sources"
            )
        target = target_of(model[1], data[1], recipe, data[0].classes, anatomy)
        sources = contained(lambda: initialiser.sources(target)).result(
            f"initialiser `{initialiser.name}`, asked for its sources,"
        )
        if not sources:
            return None
        trees = [self._source_tree(s, model, data, recipe, depth) for s in sources]
        fitting = Fitting(reference, model[1], data[1], recipe, trees)
        self.fittings[fitting.key] = fitting
        return fitting.key

    def _source_tree(
        self,
        source: Source,
        target_model: tuple[Model[Any], Reference],
        target_data: tuple[DataSet[Any], DataReference],
        target_recipe: dict[str, Any],
        depth: int,
    ) -> dict[str, Any]:
        model, dataset = target_model, target_data[0]
        data = target_data[1]
        if isinstance(source, ZooSource) and source.model is not None:
            other = self.registry.model(source.model, source.model_config)
            model = (other.thing, other.reference)
        if source.dataset is not None:
            chosen = self.registry.dataset(source.dataset, source.dataset_config)
            dataset = chosen.thing
            size = model[0].image_size() or dataset.native_size
            choice = Choice(name=source.dataset, **source.dataset_config)
            data = self._register_data(dataset, chosen.reference, size, label_of(choice))
        if not isinstance(source, ZooSource):
            return {"kind": "data", "data": data.tree()}
        recipe = self._zoo_recipe(source, target_recipe)
        start = self.registry.initialiser(source.initialiser, source.initialiser_config)
        anatomy = self._anatomy(model[0], model[1], dataset, data.size)
        artifact = self._fitting_key(
            start.thing, start.reference, model, (dataset, data), recipe, anatomy, depth + 1
        )
        keys = []
        for seed in range(source.first_seed, source.first_seed + source.count):
            trial = Trial(start.reference, model[1], data, recipe, seed, artifact)
            self.zoo_trials[trial.key] = trial
            keys.append(trial.key)
        return {"kind": "zoo", "trials": keys}

    def _zoo_recipe(self, source: ZooSource, target_recipe: dict[str, Any]) -> dict[str, Any]:
        if source.recipe is None:
            return target_recipe
        name, config = (
            (source.recipe, {}) if isinstance(source.recipe, str) else (None, dict(source.recipe))
        )
        tree: dict[str, Any] = self.registry.recipe(name, config).model_dump(mode="json")
        return tree

    def _manifest(self, initialisers: list[_Resolved], measures: list[_Resolved]) -> SuiteManifest:
        suite, loaded = self.loaded.suite, self.loaded
        return SuiteManifest(
            name=loaded.name,
            profile=loaded.profile,
            reduced=loaded.reduced,
            title=suite.title,
            question=suite.question,
            citation=suite.citation,
            command=loaded.command,
            source=loaded.source,
            overrides=list(loaded.overrides),
            seeds=list(loaded.seeds),
            reference=suite.comparisons.reference,
            test=suite.comparisons.test,
            correction=suite.comparisons.correction,
            confidence=suite.comparisons.confidence,
            margins=dict(suite.comparisons.margins),
            measures=[
                MeasureChoice(
                    name=m.reference.name, config=m.reference.config, label=m.thing.label()
                )
                for m in measures
            ],
            initialisers=[self._note(x) for x in initialisers],
            datasets=list(self._notes.values()),
            trials=self.entries,
            zoos={key: fitting.zoo_trials for key, fitting in self.fittings.items()},
        )

    def _note(self, resolved: _Resolved) -> InitialiserNote:
        thing, reference = resolved.thing, resolved.reference
        entry = self.registry.load("initialiser", reference.name).entry
        return InitialiserNote(
            label=resolved.label,
            name=reference.name,
            config=reference.config,
            scope=thing.scope.value,
            summary=thing.summary,
            citation=thing.citation.text,
            url=thing.citation.url,
            distribution=reference.code.distribution,
            distribution_version=entry.version,
        )

    def _check_margins(self, manifest: SuiteManifest) -> None:
        labels = [measure.label for measure in manifest.measures]
        for name in manifest.margins:
            if name not in labels:
                with self._at(("comparisons", "margins", name)):
                    raise UserError(
                        f"`{name}` is no measure of this suite; expected one of "
                        + ", ".join(f"`{label}`" for label in labels)
                    )


def _dataset_note(
    label: str, dataset: DataSet[Any], reference: Reference, known: Identified
) -> DatasetNote:
    return DatasetNote(
        label=label,
        name=reference.name,
        config=reference.config,
        summary=dataset.summary,
        citation=dataset.citation.text,
        url=dataset.citation.url,
        licence=dataset.licence,
        fingerprint=known.fingerprint,
        images={**known.sizes},
        marks=list(dict.fromkeys(remark.mark for remark in known.remarks)),
        remarks=[str(remark) for remark in known.remarks],
    )


def target_of(
    model: Reference,
    data: DataReference,
    recipe: Mapping[str, Any],
    classes: int,
    anatomy: Anatomy,
) -> Target:
    """Describe what an initialiser is asked to initialise."""
    return Target(
        model=model.name,
        model_config=model.config,
        dataset=data.dataset.name,
        dataset_config=data.dataset.config,
        recipe=recipe,
        classes=classes,
        anatomy=anatomy,
    )


@dataclass(frozen=True)
class _Located:
    """Puts the place in the suite file before the message of an error raised inside."""

    loaded: LoadedSuite
    path: str | NodePath

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, InitbenchError):
            raise self.loaded.located(error, self.path) from error
