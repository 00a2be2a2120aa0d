"""What training a zoo amounts to: the trials that a fit with the same source would ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from initbench.errors import UserError
from initbench.plugin.sources import ZooSource
from initbench.store.manifest import InitialiserNote, SuiteManifest, TrialEntry
from initbench.suite.fittings import Fittings
from initbench.suite.overrides import format_seeds, parse_change, with_changes
from initbench.suite.plan import Plan
from initbench.suite.planned_data import Identify, PlannedData
from initbench.suite.schema import Choice, label_of
from initbench.suite.yaml_reader import Mark, node_of

if TYPE_CHECKING:
    from initbench.plugin.registry import Registry

_PARTS = ("model", "dataset", "initialiser", "recipe")
MOST_EPOCHS = 10_000

_EPOCHS = re.compile(r"\s*([0-9]{1,6})(?:\s*-\s*([0-9]{1,6}))?\s*")


def zoo_source(
    registry: Registry,
    *,
    model: str,
    dataset: str,
    recipe: str,
    initialiser: str,
    networks: int,
    first_seed: int,
    checkpoints: str | None = None,
    settings: Sequence[str] = (),
) -> ZooSource:
    """Return the source that stands for a zoo, as it is asked for on the command line.

    Args:
        registry: what is installed.
        model: a name, as are `dataset`, `recipe` and `initialiser`.
        dataset: see above.
        recipe: see above.
        initialiser: see above.
        networks: how many.
        first_seed: the others follow.
        checkpoints: epochs whose weights are kept: `0-50`, `0,21-25`, or `all`.
        settings: changes `PATH=VALUE` of model, dataset, initialiser or recipe, such as
            `recipe.epochs=3`.

    Raises UserError for a setting of nothing, or epochs that are none of the recipe's.
    """
    named = {"model": model, "dataset": dataset, "initialiser": initialiser, "recipe": recipe}
    root = node_of({part: {"name": name} for part, name in named.items()}, Mark("zoo"))
    changes = [parse_change(text) for text in settings]
    for change, text in zip(changes, settings, strict=True):
        if change.path[0] not in _PARTS or len(change.path) < 2 or change.path[1] == "name":
            raise UserError(
                f"`--set {text}`: expected a setting of model, dataset, initialiser or recipe, "
                "such as `recipe.epochs=3` or `dataset.subset.train=5000`"
            )
    tree = with_changes(root, changes)[0].plain()
    configs = {part: _without_name(tree[part]) for part in _PARTS}
    epochs = registry.recipe(recipe, configs["recipe"]).epochs_in_all
    return ZooSource(
        count=networks,
        model=model,
        model_config=configs["model"],
        dataset=dataset,
        dataset_config=configs["dataset"],
        recipe=tree["recipe"],
        initialiser=initialiser,
        initialiser_config=configs["initialiser"],
        first_seed=first_seed,
        checkpoints=() if checkpoints is None else _kept(checkpoints, epochs),
    )


def _kept(text: str, epochs: int) -> list[int]:
    return list(range(epochs + 1)) if text.strip() == "all" else parse_epochs(text, epochs)


def parse_epochs(text: str, epochs: int = MOST_EPOCHS) -> list[int]:
    """Read epochs such as `0-50` or `0,21-25` of a training of so many epochs, rising.

    Raises UserError for anything else.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = _EPOCHS.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last <= epochs:
            raise UserError(
                f"`--checkpoints {text}`: expected epochs from 0 (before training) to {epochs} "
                f"such as `0-10` or `0,5,10`, got `{part}`"
            )
        found |= {*range(first, last + 1)}
    return sorted(found)


def plan_zoo(source: ZooSource, registry: Registry, identify: Identify) -> Plan:
    """Return the plan that trains a zoo; `identify` tells what images a data set has here.

    Raises UserError as the expansion of a suite does: for a name that nobody provides, say.
    """
    planned = PlannedData(identify)
    fittings = Fittings(registry, planned)
    trials = {trial.key: trial for trial in fittings.zoo(source)}
    return Plan(
        _manifest(source, registry, list(trials), planned),
        trials,
        fittings.zoo_trials,
        fittings.fittings,
        planned.data,
        planned.split_sizes,
    )


def _manifest(
    source: ZooSource, registry: Registry, keys: Sequence[str], planned: PlannedData
) -> SuiteManifest:
    """Describe a zoo as a suite of one initialiser, in which nothing is compared."""
    label = _label(source.initialiser, source.initialiser_config)
    model = _label(str(source.model), source.model_config)
    dataset = _label(str(source.dataset), source.dataset_config)
    seeds = list(range(source.first_seed, source.first_seed + source.count))
    start = registry.initialiser(source.initialiser, source.initialiser_config)
    return SuiteManifest(
        name="zoo",
        profile=None,
        reduced=False,
        title=f"Zoo of {source.count} {model} on {dataset}, seeds {format_seeds(seeds)}",
        question="",
        citation=None,
        command="initbench zoo train",
        source="",
        overrides=[],
        seeds=seeds,
        reference=label,
        test="welch",
        correction="none",
        confidence=0.95,
        margins={},
        measures=[],
        initialisers=[
            InitialiserNote(
                label=label,
                name=source.initialiser,
                config=start.reference.config,
                scope=start.thing.scope.value,
                summary=start.thing.summary,
                citation=start.thing.citation.text,
                url=start.thing.citation.url,
                distribution=start.reference.code.distribution,
                distribution_version="",
            )
        ],
        datasets=list(planned.notes.values()),
        trials=[
            TrialEntry(key=key, initialiser=label, model=model, dataset=dataset, seed=seed)
            for key, seed in zip(keys, seeds, strict=True)
        ],
    )


def _label(name: str, config: Mapping[str, Any]) -> str:
    return label_of(Choice.model_validate({"name": name, **config}))


def _without_name(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if key != "name"}
