"""Discovery: what installed distributions say they provide, read from metadata alone.

The loop over `importlib.metadata` is our own, because one broken distribution must not hide the
others: whatever is wrong with an entry becomes its `problem`.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata

from initbench import __version__
from initbench.errors import closest, unknown_name
from initbench.plugin.builtin import BUILTIN, FAMILIES
from initbench.plugin.hooks import PROJECT, Kind
from initbench.suite.schema import NAME_PATTERN

SELECTION = "INITBENCH_PLUGINS"
"""The environment variable that names the distributions to use, separated by commas.

Unset or empty, all are used. The harness's own distribution is always among them.
"""

HOOKS = "plugin"
"""The kind of an entry point that names a module which implements the hooks itself."""

COMMAND = "command"
"""The kind of an entry point that names a command of the terminal, made with click."""

_KINDS = (*Kind, HOOKS, COMMAND)
_TARGET = re.compile(r"(?P<module>\w+(\.\w+)*)(:(?P<object>\w+(\.\w+)*))?")


@dataclass(frozen=True)
class Entry:
    """One thing that a distribution says it provides."""

    kind: str
    name: str
    distribution: str
    version: str  # of the distribution
    target: str  # "module:object"; "module" where the kind is `plugin`
    problem: str | None = None

    @property
    def title(self) -> str:
        """How messages name it: the thing, then who is to be asked about it."""
        return f"{self.kind} `{self.name}` of {self.owner}"

    @property
    def owner(self) -> str:
        """The distribution with its version."""
        return f"{self.distribution} {self.version}"

    @property
    def module(self) -> str:
        """The module that has to be imported."""
        return self.target.partition(":")[0]


def discover() -> list[Entry]:
    """Return everything that is provided, sorted, with what is wrong with it.

    Raises:
        UserError: `INITBENCH_PLUGINS` names a distribution that provides nothing.
    """
    installed = [entry for distribution in _distributions() for entry in _entries(distribution)]
    return sorted(
        _with_duplicates_named([*_builtin(), *_selected(installed)]),
        key=lambda entry: (entry.kind, entry.name, entry.distribution),
    )


def _builtin() -> Iterator[Entry]:
    for kind, targets in BUILTIN.items():
        for name, target in targets.items():
            yield Entry(kind.value, name, PROJECT, __version__, target)
    for name, target in FAMILIES.items():
        yield Entry(HOOKS, name, PROJECT, __version__, target)


def _distributions() -> Iterator[metadata.Distribution]:
    """Yield every distribution that has entry points for us, once: the one an import would find."""
    seen = set()
    for distribution in metadata.distributions():
        # Before anything else is read: reading the names of all distributions takes far longer.
        if f"[{PROJECT}]" not in (distribution.read_text("entry_points.txt") or ""):
            continue
        name = _normal(_name(distribution))
        if name not in seen and not _is_hidden(distribution):
            seen.add(name)
            yield distribution


def _is_hidden(distribution: metadata.Distribution) -> bool:
    """Tell whether another version comes first on the path of imports."""
    try:
        first = metadata.distribution(_name(distribution))
    except metadata.PackageNotFoundError:
        return False
    return _field(first, "Version") != _field(distribution, "Version")


def _entries(distribution: metadata.Distribution) -> Iterator[Entry]:
    name, version = _name(distribution), _field(distribution, "Version")
    try:
        points = list(distribution.entry_points)
    except Exception as error:
        yield Entry("?", "?", name, version, "", f"its entry points cannot be read: {error}")
        return
    for point in points:
        if point.group == PROJECT:
            yield _entry(point.name, point.value, name, version)


def _name(distribution: metadata.Distribution) -> str:
    return _field(distribution, "Name")


def _field(distribution: metadata.Distribution, name: str) -> str:
    """Return a field of the metadata, "?" in what an interrupted uninstallation left behind."""
    try:
        fields = distribution.metadata
    except Exception:  # the finder of the backport `importlib_metadata` raises an error of its own
        return "?"
    return fields[name] if name in fields else "?"  # noqa: SIM401 (it promises no `get`)


def _entry(key: str, target: str, distribution: str, version: str) -> Entry:
    kind, _, name = key.partition(".")
    return Entry(kind, name, distribution, version, target, _problem(kind, name, target))


def _problem(kind: str, name: str, target: str) -> str | None:
    if kind not in _KINDS:
        known = ", ".join(f"`{k}`" for k in _KINDS)
        near = closest(kind, _KINDS, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {known}"
        return f"unknown kind `{kind}`; {hint}"
    if not re.search(NAME_PATTERN, name):
        return (
            f"expected the name of the entry point to be `{kind}.<name>`, with letters, digits "
            f"and `_ . / -` after the dot, got `{kind}.{name}`"
        )
    match = _TARGET.fullmatch(target)
    if match is None or (match["object"] is None) != (kind == HOOKS):
        expected = "module" if kind == HOOKS else "module:object"
        return f"expected `{expected}` as the value of the entry point, got `{target}`"
    return None


def _selected(entries: list[Entry]) -> list[Entry]:
    wanted = [name.strip() for name in os.environ.get(SELECTION, "").split(",") if name.strip()]
    if not wanted:
        return entries
    known = {_normal(entry.distribution): entry.distribution for entry in entries}
    for name in wanted:
        if _normal(name) not in known:
            raise unknown_name("distribution", name, known.values(), f"(named in {SELECTION})")
    chosen = {PROJECT, *map(_normal, wanted)}
    return [entry for entry in entries if _normal(entry.distribution) in chosen]


def _with_duplicates_named(entries: Iterable[Entry]) -> Iterator[Entry]:
    claims: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        claims[entry.kind, entry.name].append(entry)
    for rivals in claims.values():
        if len(rivals) > 1 and rivals[0].kind in _KINDS:
            for entry in rivals:
                yield replace(entry, problem=entry.problem or duplicate(rivals))
        else:
            yield from rivals


def duplicate(rivals: list[Entry]) -> str:
    """Say which distributions provide the same name, and what to do."""
    owners = " and ".join(sorted(entry.owner for entry in rivals))
    return (
        f"{rivals[0].kind} `{rivals[0].name}` is provided by {owners}; uninstall one of them, or "
        f"name those to use in {SELECTION}"
    )


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
