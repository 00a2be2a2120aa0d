"""The registry: from names to checked, configured things.

Names come from metadata (`discovery`), pluggy dispatches, imports happen when a name is used and
only of the module behind that name. Whatever a plugin does wrong is said with its distribution and
version, and harms no other plugin.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

import pluggy

from initbench.errors import PluginError, UserError, closest, unknown_name
from initbench.plugin import hooks
from initbench.plugin.code import code_of
from initbench.plugin.configuration import configured, merged
from initbench.plugin.contract import violations
from initbench.plugin.discovery import COMMAND, HOOKS, Entry, discover, duplicate
from initbench.plugin.guard import Outcome, contained
from initbench.plugin.hooks import Kind, hookimpl
from initbench.store.identity import canonical
from initbench.suite.trial import Code, Reference

if TYPE_CHECKING:
    from initbench.data.dataset import DataSet
    from initbench.measures.measure import Measure
    from initbench.models.model import Model
    from initbench.plugin.initialiser import Initialiser
    from initbench.training.recipe import Recipe

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded:
    """A thing that was imported, who provides it, and the identity of its code."""

    thing: Any
    entry: Entry
    code: Code


@dataclass(frozen=True)
class Resolved(Generic[T]):
    """A configured thing, and the reference by which keys and workers know it."""

    thing: T
    reference: Reference


class Registry:
    """Everything that is installed, by kind and name.

    `warnings` collects what plugins did that they should not have done, and that was undone.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.warnings: list[str] = []
        self._entries = list(entries)
        self._loaded: dict[tuple[str, str], Loaded] = {}
        self._broken: list[str] = []
        self._manager = _manager()
        for entry in self._entries:
            if entry.problem is None and entry.kind != COMMAND:
                self._manager.register(self._adapter(entry), name=entry.title)

    @classmethod
    def installed(cls) -> Registry:
        """Return the registry of this environment; reads metadata and imports no plugin."""
        return cls(discover())

    @classmethod
    def shared(cls) -> Registry:
        """Return the same registry as long as nothing else is installed, for frequent questions.

        A thing that names another, such as a hypernetwork its main network, asks it whenever its
        configuration is read.
        """
        return _of(tuple(discover()))

    def entries(self, kind: str | None = None) -> list[Entry]:
        """Return what distributions say they provide, with what is wrong with it."""
        return [entry for entry in self._entries if kind in (None, entry.kind)]

    def names(self, kind: str) -> list[str]:
        """Return the names of this kind.

        Modules that implement the hooks themselves are asked only once a name that nobody else
        provides has made the registry import them.
        """
        answers = self._manager.hook.initbench_names(kind=kind)
        return sorted({name for names in answers for name in names})

    def kinds_of(self, name: str) -> list[Kind]:
        """Return the kinds of the things of this name; asks families where none is listed."""
        listed = {entry.kind for entry in self._entries if entry.name == name}
        found = [kind for kind in Kind if kind in listed]
        provide = self._manager.hook.initbench_provide
        return found or [kind for kind in Kind if provide(kind=kind, name=name) is not None]

    def load(self, kind: str, name: str) -> Loaded:
        """Import the thing of this kind and name.

        Raises:
            UserError: nobody provides it, or two distributions do, or the family it belongs to has
                no such member.
            PluginError: it cannot be imported or breaks the contract.
        """
        if (kind, name) not in self._loaded:
            self._loaded[kind, name] = self._load(Kind(kind), name)
        return self._loaded[kind, name]

    def initialiser(
        self, name: str, config: Mapping[str, Any] | None = None
    ) -> Resolved[Initialiser[Any]]:
        """Return a configured initialiser.

        Raises:
            UserError: the configuration does not validate; or as `load`.
            PluginError: as `load`.
        """
        return self._resolve(Kind.INITIALISER, name, config)

    def model(self, name: str, config: Mapping[str, Any] | None = None) -> Resolved[Model[Any]]:
        """Return a configured model; errors as for `initialiser`."""
        return self._resolve(Kind.MODEL, name, config)

    def dataset(self, name: str, config: Mapping[str, Any] | None = None) -> Resolved[DataSet[Any]]:
        """Return a configured data set, or some of its images; errors as for `initialiser`."""
        from initbench.data.subset import KEY, Subset, SubsetConfig

        own = dict(config or {})
        if KEY not in own:
            return self._resolve(Kind.DATASET, name, own)
        given = own.pop(KEY)
        whole = self._resolve(Kind.DATASET, name, own)
        what = f"`{KEY}` of dataset `{name}`"
        if not isinstance(given, Mapping):
            raise UserError(f"{what}: expected a mapping such as {{train: 1000}}, got {given!r}")
        sizes = configured(what, SubsetConfig, given)
        tree = {**whole.reference.config, KEY: sizes.model_dump()}
        return Resolved(Subset(whole.thing, sizes), replace(whole.reference, config=tree))

    def measure(self, name: str, config: Mapping[str, Any] | None = None) -> Resolved[Measure[Any]]:
        """Return a configured measure; errors as for `initialiser`."""
        return self._resolve(Kind.MEASURE, name, config)

    def recipe(
        self, name: str | None, changes: Mapping[str, Any] | None = None, scale: float = 1.0
    ) -> Recipe:
        """Return the recipe `name` with `changes` (see `merged`), or `changes` alone.

        With a `scale` below 1, what comes out is shortened as a whole (see `scaled`).
        """
        from initbench.training.recipe import Recipe
        from initbench.training.scaling import scaled

        what, tree = "recipe", dict(changes or {})
        if name is not None:
            what, tree = f"recipe `{name}`", merged(self.load(Kind.RECIPE, name).thing, tree)
        return scaled(configured(what, Recipe, tree), scale)

    def _load(self, kind: Kind, name: str) -> Loaded:
        claims = [entry for entry in self._entries if (entry.kind, entry.name) == (kind, name)]
        if len(claims) > 1:
            raise UserError(duplicate(claims))
        if claims and claims[0].problem is not None:
            raise PluginError(f"{claims[0].title}: {claims[0].problem}")
        provided: _Provided | None = self._manager.hook.initbench_provide(kind=kind, name=name)
        if provided is None:
            known = self._suggestions(kind, name)
            raise unknown_name(kind, name, known, " ".join(dict.fromkeys(self._broken)))
        thing, entry = provided
        call = self._caller(entry)
        if found := call(lambda: list(violations(kind, name, thing))):
            raise PluginError(f"{entry.title} {'; '.join(found)}; {_advice(entry)}")
        return Loaded(thing, entry, call(lambda: code_of(thing, entry)))

    def _suggestions(self, kind: Kind, name: str) -> list[str]:
        """Return the names among which that of an unknown thing may be.

        Families have too many names for a list of all. They count where a name of theirs ends in
        this very one, and where nothing else looks like it.
        """
        listed = [entry.name for entry in self.entries(kind) if entry.problem is None]
        everything = self.names(kind)
        if members := [known for known in everything if known.endswith(f"/{name}")]:
            return members
        return everything if not closest(name, listed) and closest(name, everything) else listed

    def _resolve(self, kind: Kind, name: str, config: Mapping[str, Any] | None) -> Resolved[Any]:
        loaded = self.load(kind, name)
        what = f"{kind} `{name}`"

        def configure() -> tuple[Any, dict[str, Any]]:
            checked = configured(what, loaded.thing.Config, config or {})
            return loaded.thing(checked), checked.model_dump(mode="json")

        outcome = self._contained(loaded.entry, configure)
        if isinstance(outcome.error, UserError):
            raise outcome.error
        thing, tree = outcome.result(loaded.entry.title, _advice(loaded.entry))
        try:
            canonical(tree)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{what}: its configuration cannot be part of a key: {error}"
            ) from error
        return Resolved(thing, Reference(name, tree, loaded.code))

    def _contained(self, entry: Entry, function: Callable[[], T]) -> Outcome[T]:
        """Call into a plugin and note what it should not have done."""
        outcome = contained(function)
        self.warnings += [f"{entry.title} {remark}" for remark in outcome.remarks()]
        return outcome

    def _caller(self, entry: Entry) -> _Call:
        def call(function: Callable[[], T]) -> T:
            return self._contained(entry, function).result(entry.title, _advice(entry))

        return call

    def _adapter(self, entry: Entry) -> _EntryPoint | _HookModule:
        if entry.kind == HOOKS:
            return _HookModule(entry, self._caller(entry), self._broken)
        return _EntryPoint(entry, self._caller(entry))


class _Provided(NamedTuple):
    """What adapters answer: a thing, and the entry that stands for it."""

    thing: Any
    entry: Entry


class _Call(Protocol):
    """Calls into a plugin; raises nothing but PluginError, which names the plugin."""

    def __call__(self, function: Callable[[], T]) -> T: ...


class _EntryPoint:
    """An entry point as a pluggy plugin; imports its module when it is asked for its thing."""

    def __init__(self, entry: Entry, call: _Call) -> None:
        self._entry, self._call = entry, call

    @hookimpl
    def initbench_names(self, kind: str) -> list[str]:
        return [self._entry.name] if kind == self._entry.kind else []

    @hookimpl
    def initbench_provide(self, kind: str, name: str) -> _Provided | None:
        if (kind, name) != (self._entry.kind, self._entry.name):
            return None
        return _Provided(self._call(lambda: imported(self._entry.target)), self._entry)


class _HookModule:
    """A module that implements the hooks itself, as a pluggy plugin.

    It is asked last and imported when it is asked for a thing. If that fails, the name may well be
    somebody else's, so the complaint is kept for the message about an unknown name. A UserError is
    an answer: the name is one of the family's, and wrong.
    """

    def __init__(self, entry: Entry, call: _Call, broken: list[str]) -> None:
        self._entry, self._call, self._broken = entry, call, broken
        self._asked = False
        self._module: pluggy.PluginManager | None = None

    @hookimpl
    def initbench_names(self, kind: str) -> list[str]:
        module = self._module
        if module is None:
            return []
        answers = self._tried(lambda: [list(x) for x in module.hook.initbench_names(kind=kind)])
        return [name for names in answers or [] for name in names]

    @hookimpl(trylast=True)
    def initbench_provide(self, kind: str, name: str) -> _Provided | None:
        if not self._asked:
            self._asked = True
            self._module = self._tried(self._imported)
        module = self._module
        if module is None:
            return None
        wrong: list[UserError] = []

        def provide() -> Any:
            try:
                return module.hook.initbench_provide(kind=kind, name=name)
            except UserError as error:
                wrong.append(error)

        thing = self._tried(provide)
        if wrong:
            raise wrong[0]
        return (
            None if thing is None else _Provided(thing, replace(self._entry, kind=kind, name=name))
        )

    def _imported(self) -> pluggy.PluginManager:
        manager = _manager()
        manager.register(imported(self._entry.target), name=self._entry.name)
        return manager

    def _tried(self, function: Callable[[], T]) -> T | None:
        try:
            return self._call(function)
        except PluginError as error:
            self._broken.append(f"({error})")
            return None


@lru_cache(maxsize=1)
def _of(entries: tuple[Entry, ...]) -> Registry:
    return Registry(entries)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    return manager


def imported(target: str) -> Any:
    """Return what a target names; below a mapping, a dot is followed by a key."""
    module, _, path = target.partition(":")
    thing = importlib.import_module(module)
    for step in path.split(".") if path else ():
        thing = thing[step] if isinstance(thing, Mapping) else getattr(thing, step)
    return thing


def _advice(entry: Entry) -> str:
    name = entry.distribution
    return f"upgrade {name}, or uninstall it: `python -m pip uninstall {name}`"
