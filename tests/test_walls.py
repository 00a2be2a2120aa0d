"""The walls of the house (docs/design.md): who imports what, who prints, what is never done."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HARNESS = sorted((ROOT / "initbench").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))

BELOW_THE_SUITE = {"errors", "streams", "plugin", "models", "data", "store", "training"}
ROOMS = {
    "statistics": set(),
    "store": {"errors"},
    "measures": {"errors", "plugin", "probes", "statistics", "store"},
    "probes": BELOW_THE_SUITE | {"statistics"},
    "models": {"errors", "plugin", "data"},  # of `data`: how much memory is free
    "data": {"errors", "plugin"},
    "training": BELOW_THE_SUITE,
    "zoo": {"errors", "plugin", "store", "suite"},
}
"""What a room may import besides itself, when it runs."""

FROM_RECORDS = ["measures", "statistics", "reporting", "leaderboard", "tracking"]
"""The rooms right of the store: what they show is computed without training anything."""


RESTRICTED_UNPICKLER = "initbench/data/formats/cifar_pickle.py"
"""Reads the one official format that is a pickle, and lets it name four harmless things only."""


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path, *, when_it_runs: bool = False) -> Iterator[str]:
    """Yield every module a file imports, inside functions too; at will without those for types."""
    for node in _nodes(parsed(path), when_it_runs):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def _nodes(tree: ast.AST, when_it_runs: bool) -> Iterator[ast.AST]:
    yield tree
    for child in ast.iter_child_nodes(tree):
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not (when_it_runs and for_types):
            yield from _nodes(child, when_it_runs)


def calls(path: Path) -> Iterator[str]:
    """Yield the name of every function that a file calls, as it is written there."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(autouse=True)
def there_is_something_to_check() -> None:
    assert len(HARNESS) > 20
    assert len(PLUGINS) > 1


def test_plugins_import_nothing_of_the_harness_but_its_api() -> None:
    offences = [
        f"{shown(path)} imports {module}"
        for path in PLUGINS
        for module in imports(path)
        if is_in(module, "initbench") and module != "initbench.api"
    ]
    assert offences == []


def test_the_harness_imports_no_plugin() -> None:
    packages = {path.relative_to(ROOT / "plugins").parts[0] for path in PLUGINS}
    offences = [
        f"{shown(path)} imports {module}"
        for path in HARNESS
        for module in imports(path)
        if any(is_in(module, package) for package in packages)
    ]
    assert offences == []


@pytest.mark.parametrize(
    ("library", "room"),
    [("mlflow", "tracking"), ("click", "cli"), ("rich", "cli"), ("jinja2", "leaderboard")],
)
def test_a_library_is_known_to_one_room_only(library: str, room: str) -> None:
    offences = [
        f"{shown(path)} imports {library}"
        for path in HARNESS
        if path.relative_to(ROOT / "initbench").parts[0] != room
        for module in imports(path)
        if is_in(module, library)
    ]
    assert offences == []


def test_only_the_command_line_prints() -> None:
    offences = [
        f"{shown(path)} calls {name}"
        for path in [*HARNESS, *PLUGINS]
        if path.relative_to(ROOT).parts[1] != "cli"
        for name in calls(path)
        if name in ("print", "sys.stdout.write", "sys.stderr.write")
    ]
    assert offences == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    allowed = {room, *ROOMS[room]}
    offences = [
        f"{shown(path)} imports {module}"
        for path in sorted((ROOT / "initbench" / room).rglob("*.py"))
        for module in imports(path, when_it_runs=True)
        if module.startswith("initbench.") and module.split(".")[1] not in allowed
    ]
    assert offences == []


@pytest.mark.parametrize("room", FROM_RECORDS)
def test_what_is_made_from_records_trains_nothing(room: str) -> None:
    offences = [
        f"{shown(path)} imports {module}"
        for path in sorted((ROOT / "initbench" / room).rglob("*.py"))
        for module in imports(path)
        if is_in(module, "initbench.training") or is_in(module, "initbench.execution")
    ]
    assert offences == []


def test_nothing_unpickles_and_no_yaml_makes_objects() -> None:
    modules = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "joblib"}
    offences = [
        f"{shown(path)}: {name}"
        for path in [*HARNESS, *PLUGINS]
        if shown(path) != RESTRICTED_UNPICKLER
        for name in [*imports(path), *calls(path)]
        if name in modules or name in ("yaml.load", "yaml.unsafe_load", "yaml.full_load")
    ]
    for path in [*HARNESS, *PLUGINS]:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                words = [ast.unparse(keyword) for keyword in node.keywords]
                if "weights_only=True" not in words:
                    offences.append(f"{shown(path)}:{node.lineno} unpickles")
    assert offences == []


def test_the_restricted_unpickler_uses_no_other() -> None:
    path = ROOT / RESTRICTED_UNPICKLER
    pickled = [name for name in calls(path) if name in ("pickle.load", "pickle.loads")]
    assert pickled == []
    bases = [
        [ast.unparse(base) for base in node.bases]
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
    ]
    assert ["pickle.Unpickler"] in bases
