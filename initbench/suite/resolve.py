"""Checking a suite against what is installed, without building any network or reading any data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from itertools import product
from typing import TYPE_CHECKING, Any

from initbench.errors import InitbenchError
from initbench.plugin.guard import contained
from initbench.suite.recipes import place_of_recipe, recipe_for
from initbench.suite.schema import InitialiserChoice, label_of

if TYPE_CHECKING:
    from initbench.plugin.registry import Registry
    from initbench.suite.load import LoadedSuite
    from initbench.suite.yaml_reader import NodePath


def complaints(loaded: LoadedSuite, registry: Registry) -> Iterator[str]:
    """Yield what is wrong with the names and configurations of a suite, each with its place."""
    suite = loaded.suite
    for section, choices, resolve in (
        ("models", suite.models, registry.model),
        ("datasets", suite.datasets, registry.dataset),
        ("initialisers", suite.initialisers, registry.initialiser),
        ("measures", suite.measures, registry.measure),
    ):
        for i, choice in enumerate(choices):
            if isinstance(choice, InitialiserChoice) and how_to_install(choice, registry):
                continue
            yield from _complaint(loaded, (section, i), resolve, choice.name, choice.config)
    initialisers = {i: x for i, x in enumerate(suite.initialisers) if x.own_recipe is not None}
    for (d, dataset), (m, model) in product(enumerate(suite.datasets), enumerate(suite.models)):
        label = label_of(dataset)
        if not model.is_on(label):
            continue
        both = ((("datasets", d), dataset), (("models", m), model))
        own = [(("initialisers", i), x) for i, x in initialisers.items() if x.is_on(label)]
        for saying in (both, *[(*both, one) for one in own]):
            recipe = recipe_for(suite.recipe, *(choice for _, choice in saying))
            place = place_of_recipe(*saying)
            yield from _complaint(loaded, place, registry.recipe, recipe.name, recipe.config)


def how_to_install(choice: InitialiserChoice, registry: Registry) -> str | None:
    """Return what brings an initialiser of another package; None where it can be used.

    That is the package, or a file that the initialiser needs. None also where the suite names no
    package for it: then a missing name is a mistake.
    """
    package = choice.plugin
    if package is None:
        return None
    if choice.name in registry.names("initialiser"):
        return _missing(choice, registry)
    try:
        found = f"{package} {metadata.version(package)} does not have it"
    except metadata.PackageNotFoundError:
        return f"{package} is not installed: `python -m pip install {package}`"
    return f"{found}: `python -m pip install --upgrade {package}`"


def _missing(choice: InitialiserChoice, registry: Registry) -> str | None:
    try:
        initialiser = registry.initialiser(choice.name, choice.config).thing
    except InitbenchError:
        return None  # its configuration is complained about where configurations are checked
    return contained(initialiser.missing).result(f"initialiser `{choice.name}`") or None


def _complaint(
    loaded: LoadedSuite,
    path: NodePath,
    resolve: Callable[[Any, Mapping[str, Any]], Any],
    name: str | None,
    config: Mapping[str, Any],
) -> Iterator[str]:
    try:
        resolve(name, config)
    except InitbenchError as error:
        yield str(loaded.located(error, path))
