"""Checking a suite against what is installed, without building any network or reading any data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from initbench.errors import InitbenchError

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
            yield from _complaint(loaded, (section, i), resolve, choice.name, choice.config)
    recipe = suite.recipe
    yield from _complaint(loaded, ("recipe",), registry.recipe, recipe.name, recipe.config)


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
