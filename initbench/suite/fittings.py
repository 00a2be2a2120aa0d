"""The fittings of a plan: what generative initialisers learn, and the zoos they learn it from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from initbench.errors import PluginError
from initbench.plugin.configuration import merged
from initbench.plugin.guard import contained
from initbench.plugin.initialiser import Target
from initbench.plugin.sources import Source, ZooSource
from initbench.suite.planned_data import PlannedData
from initbench.suite.schema import Choice, label_of
from initbench.suite.trial import DataReference, Fitting, Reference, Trial

if TYPE_CHECKING:
    from initbench.data.dataset import DataSet
    from initbench.models.anatomy import Anatomy
    from initbench.models.model import Model
    from initbench.plugin.initialiser import Initialiser
    from initbench.plugin.registry import Registry

_DEEPEST_NESTING = 4
"""Zoos of generative initialisers of zoos of ...: beyond this depth it is a cycle."""


@dataclass
class Fittings:
    """Collects fittings and zoo trials; what two initialisers need alike is there once."""

    registry: Registry
    planned: PlannedData
    fittings: dict[str, Fitting] = field(default_factory=dict)  # by key
    zoo_trials: dict[str, Trial] = field(default_factory=dict)  # by key

    def key(
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
        fitted_as = replace(reference, config=_fit_config(initialiser))
        fitting = Fitting(fitted_as, model[1], data[1], recipe, trees)
        if initialiser.fits_zoo_only and fitting.zoo_trials:
            first = self.zoo_trials[fitting.zoo_trials[0]]
            fitting = replace(fitting, model=first.model, data=first.data, recipe=first.recipe)
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
        model, (dataset, data) = target_model, target_data
        if isinstance(source, ZooSource) and source.model is not None:
            model = self._model(source.model, source.model_config)
        if source.dataset is not None:
            dataset, data = self._data(source.dataset, source.dataset_config, model[0])
        if not isinstance(source, ZooSource):
            return {"kind": "data", "data": data.tree()}
        recipe = self._zoo_recipe(source, target_recipe)
        trials = self._trials(source, model, (dataset, data), recipe, depth)
        self.zoo_trials |= {trial.key: trial for trial in trials}
        return {"kind": "zoo", "trials": [trial.key for trial in trials]}

    def zoo(self, source: ZooSource) -> list[Trial]:
        """Return the trials of a zoo whose source names model, data set and recipe.

        They are the same that an initialiser with this source learns from.
        """
        if source.model is None or source.dataset is None or source.recipe is None:
            raise ValueError("a zoo without a target names its model, data set and recipe")
        model = self._model(source.model, source.model_config)
        data = self._data(source.dataset, source.dataset_config, model[0])
        return self._trials(source, model, data, self._zoo_recipe(source, {}), depth=0)

    def _model(self, name: str, config: Mapping[str, Any]) -> tuple[Model[Any], Reference]:
        chosen = self.registry.model(name, config)
        return chosen.thing, chosen.reference

    def _data(
        self, name: str, config: Mapping[str, Any], model: Model[Any]
    ) -> tuple[DataSet[Any], DataReference]:
        chosen = self.registry.dataset(name, config)
        size = model.image_size() or chosen.thing.native_size
        label = label_of(Choice.model_validate({"name": name, **config}))
        return chosen.thing, self.planned.register(chosen.thing, chosen.reference, size, label)

    def _trials(
        self,
        source: ZooSource,
        model: tuple[Model[Any], Reference],
        data: tuple[DataSet[Any], DataReference],
        recipe: dict[str, Any],
        depth: int,
    ) -> list[Trial]:
        """Return the trials of a zoo, and register what their initialiser must learn first."""
        start = self.registry.initialiser(source.initialiser, source.initialiser_config)
        anatomy = self.planned.anatomy(model[0], model[1], data[0], data[1].size)
        artifact = self.key(start.thing, start.reference, model, data, recipe, anatomy, depth + 1)
        return [
            Trial(start.reference, model[1], data[1], recipe, seed, artifact)
            for seed in range(source.first_seed, source.first_seed + source.count)
        ]

    def _zoo_recipe(self, source: ZooSource, target_recipe: dict[str, Any]) -> dict[str, Any]:
        """Return the recipe of a zoo, which keeps what it keeps and what the source asks for."""
        if source.recipe is None:
            name, config = None, target_recipe
        elif isinstance(source.recipe, str):
            name, config = source.recipe, {}
        else:
            config = dict(source.recipe)
            name = config.pop("name", None)
        recipe = self.registry.recipe(name, config)
        if source.checkpoints:
            kept = sorted({*recipe.evaluation.kept_epochs, *source.checkpoints})
            kept_too = merged(recipe.model_dump(mode="json"), {"evaluation": {"kept_epochs": kept}})
            recipe = self.registry.recipe(None, kept_too)
        tree: dict[str, Any] = recipe.model_dump(mode="json")
        return tree


def _fit_config(initialiser: Initialiser[Any]) -> dict[str, Any]:
    config = contained(initialiser.fit_config).result(f"`fit_config` of `{initialiser.name}`")
    tree: dict[str, Any] = config.model_dump(mode="json")
    return tree


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
