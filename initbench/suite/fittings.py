"""The fittings of a plan: what generative initialisers learn, and the zoos they learn it from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from initbench.errors import PluginError
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
            choice = Choice.model_validate({"name": source.dataset, **source.dataset_config})
            data = self.planned.register(dataset, chosen.reference, size, label_of(choice))
        if not isinstance(source, ZooSource):
            return {"kind": "data", "data": data.tree()}
        recipe = self._zoo_recipe(source, target_recipe)
        start = self.registry.initialiser(source.initialiser, source.initialiser_config)
        anatomy = self.planned.anatomy(model[0], model[1], dataset, data.size)
        artifact = self.key(
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
        if isinstance(source.recipe, str):
            name, config = source.recipe, {}
        else:
            config = dict(source.recipe)
            name = config.pop("name", None)
        tree: dict[str, Any] = self.registry.recipe(name, config).model_dump(mode="json")
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
