"""Descriptions: what `initbench plugins show` tells about one installed thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from initbench.errors import UserError, unknown_name
from initbench.plugin.guard import contained
from initbench.plugin.hooks import PROJECT, Kind

if TYPE_CHECKING:
    from initbench.models.model import Model
    from initbench.plugin.initialiser import Initialiser, Support
    from initbench.plugin.registry import Loaded, Registry

_STATED = ("summary", "scope", "licence", "unit", "direction", "classes", "channels", "native_size")
_REQUIRED = "(required)"

_CHANNELS, _CLASSES = 1, 10
_IMAGE_SIZE = 32  # unless the model needs another


@dataclass(frozen=True)
class Option:
    """One key of a configuration."""

    name: str
    expected: str
    default: str
    description: str


@dataclass(frozen=True)
class Description:
    """What there is to know about a thing before it is named in a suite."""

    facts: dict[str, str]
    options: list[Option] = field(default_factory=list)
    about_options: str = ""
    supports: dict[str, str] = field(default_factory=dict)
    """For grey images of ten classes, by model: "yes", or why not."""


def describe(registry: Registry, name: str, kind: Kind | None = None) -> Description:
    """Describe an installed thing; `kind` is needed only where several kinds share the name.

    Raises:
        UserError: nobody provides it, or things of several kinds have this name.
        PluginError: it cannot be imported or breaks its contract.
    """
    chosen = kind or _kind_of(registry, name)
    loaded = registry.load(chosen, name)
    facts = {"name": name, "kind": chosen.value, **dict(_facts(loaded))}
    if chosen is Kind.RECIPE:
        return Description(facts | dict(_leaves(registry.recipe(name).model_dump(mode="json"))))
    schema = loaded.thing.Config.model_json_schema()
    options = list(_options(schema))
    supports = {}
    if not any(x.default == _REQUIRED for x in options):
        if chosen is Kind.INITIALISER:
            supports = dict(_supports(registry, registry.initialiser(name).thing))
        elif chosen is Kind.MODEL:
            facts["image size"] = _shown_size(registry.model(name).thing)
    return Description(facts, options, schema.get("description", ""), supports)


def _shown_size(model: Model[Any]) -> str:
    size = model.image_size()
    return "that of the data" if size is None else f"{size} x {size} pixels"


def _kind_of(registry: Registry, name: str) -> Kind:
    found = registry.kinds_of(name)
    if not found:
        names = {entry.name for entry in registry.entries() if entry.kind in list(Kind)}
        raise unknown_name("plugin", name, names)
    if len(found) > 1:
        kinds = ", ".join(sorted(found))
        raise UserError(f"`{name}` is a name of several kinds ({kinds}); say which with `--kind`")
    return found[0]


def _facts(loaded: Loaded) -> Iterator[tuple[str, str]]:
    for attribute in _STATED:
        if (value := getattr(loaded.thing, attribute, None)) is not None:
            yield attribute.replace("_", " "), str(value)
    if citation := getattr(loaded.thing, "citation", None):
        yield "citation", citation.text
        if citation.url:
            yield "", citation.url
    yield "provided by", f"{loaded.entry.owner} ({loaded.entry.target})"
    code = loaded.code
    yield "code", f"version {code.version}" if code.version else f"digest {code.digest}"


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    from initbench.suite.yaml_reader import write_value

    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", write_value(value)


def _options(schema: Mapping[str, Any]) -> Iterator[Option]:
    from initbench.suite.expectations import Expectations
    from initbench.suite.yaml_reader import write_value

    expectations = Expectations(schema)
    for name, about in schema.get("properties", {}).items():
        yield Option(
            name,
            expectations.describe(about),
            _REQUIRED if name in schema.get("required", ()) else write_value(about.get("default")),
            about.get("description", ""),
        )


def _supports(registry: Registry, initialiser: Initialiser[Any]) -> Iterator[tuple[str, str]]:
    """Yield each of the harness's own models with "yes", or the reason why not."""
    for entry in registry.entries(Kind.MODEL):
        if entry.distribution == PROJECT:
            support = _support(initialiser, registry.model(entry.name).thing)
            yield entry.name, "yes" if support.supported else f"no: {support.reason}"


def _support(initialiser: Initialiser[Any], model: Model[Any]) -> Support:
    import torch

    from initbench.models.tracing import anatomy

    size = model.image_size() or _IMAGE_SIZE

    def build() -> torch.nn.Module:
        with torch.device("meta"):  # shapes only: what is asked is not about values
            return model.build(_CHANNELS, size, _CLASSES)

    network = contained(build).result(f"model `{model.name}`")
    who = f"initialiser `{initialiser.name}`"
    return contained(lambda: initialiser.supports(anatomy(network))).result(who)
