"""Expansion: from a suite to its plan.

Every name of the suite is resolved against the installed plugins; what comes out are the trials,
the fittings they need, the zoo trials these need in turn, the data all of them need, and what
measures look at afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from initbench.errors import InitbenchError, UserError
from initbench.plugin.guard import contained
from initbench.store.manifest import (
    InitialiserNote,
    MeasureNote,
    PublishedNote,
    SuiteManifest,
    TrialEntry,
)
from initbench.suite.fittings import Fittings
from initbench.suite.observations import Observations
from initbench.suite.plan import Plan
from initbench.suite.planned_data import Identify, PlannedData
from initbench.suite.recipes import place_of_recipe, recipe_for, why_not_on
from initbench.suite.resolve import how_to_install
from initbench.suite.schema import (
    Choice,
    InitialiserChoice,
    MeasureChoice,
    PlacedChoice,
    label_of,
)
from initbench.suite.trial import DataReference, Reference, Trial

if TYPE_CHECKING:
    from initbench.data.dataset import DataSet
    from initbench.measures.measure import Measure
    from initbench.models.anatomy import Anatomy
    from initbench.models.model import Model
    from initbench.plugin.registry import Registry, Resolved
    from initbench.suite.load import LoadedSuite
    from initbench.suite.yaml_reader import NodePath


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

    choice: Choice
    section: str
    position: int
    thing: Any
    reference: Reference

    @property
    def label(self) -> str:
        return label_of(self.choice)

    def is_on(self, dataset: _Resolved) -> bool:
        return not isinstance(self.choice, PlacedChoice) or self.choice.is_on(dataset.label)

    @property
    def path(self) -> NodePath:
        return (self.section, self.position)


@dataclass
class _Expansion:
    loaded: LoadedSuite
    registry: Registry
    identify: Identify
    trials: dict[str, Trial] = field(default_factory=dict)
    entries: list[TrialEntry] = field(default_factory=list)
    not_installed: dict[str, str] = field(default_factory=dict)

    def plan(self) -> Plan:
        suite = self.loaded.suite
        models = self._resolve("models", suite.models, self.registry.model)
        datasets = self._resolve("datasets", suite.datasets, self.registry.dataset)
        initialisers = self._initialisers()
        measures = self._resolve("measures", suite.measures, self.registry.measure)
        for model, dataset in product(models, datasets):
            if model.is_on(dataset):
                here = [initialiser for initialiser in initialisers if initialiser.is_on(dataset)]
                taken = [measure for measure in measures if measure.is_on(dataset)]
                self._expand_block(model, dataset, here, taken)
        if not self.entries:
            raise UserError(
                "no initialiser of this suite is meant for any of its models and data sets; look "
                "at `only_on`"
            )
        manifest = self._manifest(initialisers, measures)
        self._check_margins(manifest)
        zoo_trials = {k: t for k, t in self.fittings.zoo_trials.items() if k not in self.trials}
        return Plan(
            manifest,
            self.trials,
            zoo_trials,
            self.fittings.fittings,
            self.planned.data,
            self.planned.split_sizes,
            self.observations.observing,
        )

    @cached_property
    def planned(self) -> PlannedData:
        return PlannedData(self.identify)

    @cached_property
    def fittings(self) -> Fittings:
        return Fittings(self.registry, self.planned)

    @cached_property
    def observations(self) -> Observations:
        return Observations(self.registry, self.planned.register)

    def _expand_block(
        self,
        model: _Resolved,
        dataset: _Resolved,
        initialisers: list[_Resolved],
        measures: list[_Resolved],
    ) -> None:
        """Register the trials on one model and data set, and what measures look at there."""
        data = self._data(dataset, model.thing)
        with self._at(model.path):
            anatomy = self.planned.anatomy(model.thing, model.reference, dataset.thing, data.size)
        for initialiser in initialisers:
            self._check_support(initialiser, model, anatomy)
        recipes = {x.label: self._recipe(dataset, model, x) for x in initialisers}
        artifacts = {
            initialiser.label: self.fittings.key(
                initialiser.thing,
                initialiser.reference,
                (model.thing, model.reference),
                (dataset.thing, data),
                recipes[initialiser.label],
                anatomy,
            )
            for initialiser in initialisers
        }
        entries = []
        # Seeds first: an interrupted run then has about as many trials of each initialiser.
        for seed, initialiser in product(self.loaded.seeds, initialisers):
            recipe, artifact = recipes[initialiser.label], artifacts[initialiser.label]
            trial = Trial(initialiser.reference, model.reference, data, recipe, seed, artifact)
            self.trials[trial.key] = trial
            entries.append(
                TrialEntry(
                    key=trial.key,
                    initialiser=initialiser.label,
                    model=model.label,
                    dataset=dataset.label,
                    seed=seed,
                    artifact=artifact,
                )
            )
        self.entries += entries
        for measure in measures:
            with self._at(measure.path):
                _check_measure(measure.thing, dataset.thing, recipes.values())
                self.observations.add(
                    measure.thing, measure.reference, dataset.thing, data, entries
                )

    def _recipe(
        self, dataset: _Resolved, model: _Resolved, initialiser: _Resolved
    ) -> dict[str, Any]:
        saying = (dataset, model, initialiser)
        choice = recipe_for(self.loaded.suite.recipe, *(x.choice for x in saying))
        with self._at(place_of_recipe(*((x.path, x.choice) for x in saying))):
            recipe = self.registry.recipe(choice.name, choice.config, choice.scale)
            if reason := why_not_on(recipe, dataset.thing):
                raise UserError(f"recipe: {reason}")
        return recipe.model_dump(mode="json")

    def _initialisers(self) -> list[_Resolved]:
        """Return the initialisers that are installed, and note the others."""
        choices: dict[int, Choice] = {}
        for i, choice in enumerate(self.loaded.suite.initialisers):
            how = how_to_install(choice, self.registry)
            if how is None:
                choices[i] = choice
            else:
                self.not_installed[label_of(choice)] = how
        if not choices:
            raise UserError(
                "none of the suite's initialisers is installed: "
                + "; ".join(f"`{label}`: {how}" for label, how in self.not_installed.items())
            )
        return self._resolve("initialisers", choices, self.registry.initialiser)

    def _resolve(
        self,
        section: str,
        choices: Sequence[Choice] | Mapping[int, Choice],
        resolve: Callable[[str, Mapping[str, Any]], Resolved[Any]],
    ) -> list[_Resolved]:
        """Resolve choices; where only some are taken, each comes with its place in the section."""
        found = []
        places = choices.items() if isinstance(choices, Mapping) else enumerate(choices)
        for i, choice in places:
            with self._at((section, i)):
                resolved = resolve(choice.name, choice.config)
            found.append(_Resolved(choice, section, i, resolved.thing, resolved.reference))
        return found

    def _at(self, path: str | NodePath) -> _Located:
        return _Located(self.loaded, path)

    def _data(self, dataset: _Resolved, model: Model[Any]) -> DataReference:
        size = model.image_size() or dataset.thing.native_size
        with self._at(dataset.path):
            return self.planned.register(dataset.thing, dataset.reference, size, dataset.label)

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
            family=suite.comparisons.family,
            correction=suite.comparisons.correction,
            confidence=suite.comparisons.confidence,
            margins=dict(suite.comparisons.margins),
            measures=[_note_of(measure) for measure in measures],
            initialisers=[self._note(x) for x in initialisers],
            not_installed=self.not_installed,
            datasets=list(self.planned.notes.values()),
            trials=self.entries,
            observations=list(self.observations.entries.values()),
            published=[PublishedNote(**link.model_dump()) for link in suite.published],
            zoos={key: fitting.zoo_trials for key, fitting in self.fittings.fittings.items()},
        )

    def _note(self, resolved: _Resolved) -> InitialiserNote:
        thing, reference = resolved.thing, resolved.reference
        entry = self.registry.load("initialiser", reference.name).entry
        choice = resolved.choice
        assert isinstance(choice, InitialiserChoice)
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
            own_recipe=choice.own_recipe.model_dump(mode="json", exclude_unset=True)
            if choice.own_recipe
            else {},
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


def _check_measure(
    measure: Measure[Any], dataset: DataSet[Any], recipes: Iterable[Mapping[str, Any]]
) -> None:
    """Raise UserError where trials on a data set, by any of these recipes, lack a measure."""
    if measure.needs_classes and dataset.task != "classification":
        raise UserError(
            f"measure `{measure.label()}` needs classes, but `{dataset.name}` is a "
            f"{dataset.task}; choose `test_loss` or `train_loss`, or say under `only_on` for "
            "which data sets it is meant"
        )
    for recipe in recipes:
        if misfit := measure.misfit(recipe):
            raise UserError(f"measure `{measure.label()}`: {misfit}")


def _note_of(measure: _Resolved) -> MeasureNote:
    assert isinstance(measure.choice, MeasureChoice)
    return MeasureNote(
        name=measure.reference.name,
        config=measure.reference.config,
        label=measure.thing.label(),
        only_on=measure.choice.only_on,
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
