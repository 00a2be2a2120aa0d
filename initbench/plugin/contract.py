"""The contract of each kind of thing: what a class must state before it is used."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from initbench.data.dataset import DataSet
from initbench.measures.measure import Direction, Measure
from initbench.models.model import Model
from initbench.plugin.hooks import Kind
from initbench.plugin.initialiser import API_VERSION, Citation, Config, Initialiser, Scope


@dataclass(frozen=True)
class _Contract:
    base: type
    attributes: Mapping[str, type]


_CONTRACTS = {
    Kind.INITIALISER: _Contract(
        Initialiser, {"scope": Scope, "summary": str, "citation": Citation}
    ),
    Kind.MODEL: _Contract(Model, {"summary": str, "citation": Citation, "licence": str}),
    Kind.DATASET: _Contract(
        DataSet,
        {
            "summary": str,
            "citation": Citation,
            "licence": str,
            "classes": int,
            "channels": int,
            "native_size": int,
        },
    ),
    Kind.MEASURE: _Contract(Measure, {"summary": str, "unit": str, "direction": str}),
}


def violations(kind: Kind, name: str, thing: Any) -> Iterator[str]:
    """Yield what is wrong with `thing`, found under `name`, as clauses that begin with a verb.

    A class for another version of the contract is not looked at any further.
    """
    if kind is Kind.RECIPE:
        if not isinstance(thing, Mapping):
            yield f"expected a mapping, got {_shown(thing)}"
        return
    contract = _CONTRACTS[kind]
    if not isinstance(thing, type):
        yield f"expected a class, got {_shown(thing)}"
    elif getattr(thing, "api_version", API_VERSION) != API_VERSION:
        yield (
            f"is written for version {thing.api_version!r} of the plugin contract, "  # type: ignore[attr-defined]
            f"this initbench has version {API_VERSION}"
        )
    elif not issubclass(thing, contract.base):
        yield f"expected a subclass of `initbench.api.{contract.base.__name__}`, got {thing!r}"
    else:
        yield from _class_violations(contract, name, thing)


def _class_violations(contract: _Contract, name: str, thing: Any) -> Iterator[str]:
    if (stated := getattr(thing, "name", None)) != name:
        yield f"expected the attribute `name` to be `{name}`, as in its entry point, got {stated!r}"
    for attribute, kind in contract.attributes.items():
        value = getattr(thing, attribute, None)
        if not isinstance(value, kind) or value == "":
            yield f"expected the attribute `{attribute}` to be a {kind.__name__}, got {value!r}"
    if contract.base is Measure and getattr(thing, "direction", None) not in get_args(Direction):
        yield "expected the attribute `direction` to be `higher` or `lower`"
    version = getattr(thing, "version", None)
    if not (version is None or (isinstance(version, str) and version)):
        yield f"expected the attribute `version` to be a str or None, got {version!r}"
    if not (isinstance(thing.Config, type) and issubclass(thing.Config, Config)):
        yield f"expected `Config` to be a subclass of `initbench.api.Config`, got {thing.Config!r}"
    if inspect.isabstract(thing):
        missing = ", ".join(f"`{method}`" for method in sorted(thing.__abstractmethods__))
        yield f"does not implement {missing}"


def _shown(thing: Any) -> str:
    return f"{type(thing).__name__} {thing!r}"[:100]
