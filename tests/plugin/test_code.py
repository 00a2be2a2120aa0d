"""The identity of code changes when any source file of the distribution does, and only then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from initbench.plugin import code
from initbench.plugin.registry import Registry
from initbench.suite.trial import Code
from tests.plugin.worlds import World, good

UNVERSIONED = good(attribute="version = None")
FILES = {
    "good_init/__init__.py": "from good_init.method import Good",
    "good_init/method.py": UNVERSIONED,
    "good_init/table.json": "[1, 2]",
}


@pytest.fixture(autouse=True)
def forgetful() -> None:
    """Digests are remembered for the life of a process, in which code does not change."""
    code._digest.cache_clear()


def install(world: World, **options: object) -> Path:
    return world.install(
        "good-init",
        {"initialiser.good": "good_init:Good"},
        FILES,
        **options,  # type: ignore[arg-type]
    )


def identity() -> Code:
    code._digest.cache_clear()
    return Registry.installed().load("initialiser", "good").code


def test_a_declared_version_stands_for_the_code(world: World) -> None:
    world.install("good-init", {"initialiser.good": "good_init:Good"}, {"good_init.py": good()})
    assert identity() == Code("good-init", version="3")


def test_without_a_version_the_digest_of_all_sources_does(world: World) -> None:
    install(world)
    found = identity()
    assert found.distribution == "good-init"
    assert found.version is None
    assert found.digest is not None
    assert len(found.digest) == 64


def edit_another_module(root: Path) -> None:
    (root / "good_init/method.py").write_text(UNVERSIONED + "\n# edited\n")


def edit_a_table(root: Path) -> None:
    (root / "good_init/table.json").write_text("[1, 3]")


def add_a_module(root: Path) -> None:
    (root / "good_init/new.py").write_text("")


def rename_a_file(root: Path) -> None:
    (root / "good_init/table.json").rename(root / "good_init/other.json")


def remove_a_file(root: Path) -> None:
    (root / "good_init/table.json").unlink()


EDITS = [edit_another_module, edit_a_table, add_a_module, rename_a_file, remove_a_file]


@pytest.mark.parametrize("edit", EDITS)
def test_any_edit_of_an_editable_installation_changes_the_digest(
    world: World, edit: Callable[[Path], None]
) -> None:
    make_editable(install(world))
    before = identity()
    edit(world.folder)
    assert identity() != before


@pytest.mark.parametrize("edit", [edit_another_module, edit_a_table, remove_a_file])
def test_an_edit_of_an_installed_file_changes_the_digest(
    world: World, edit: Callable[[Path], None]
) -> None:
    install(world)
    before = identity()
    edit(world.folder)
    assert identity() != before


def test_caches_notes_and_installers_do_not_change_it(world: World) -> None:
    info = install(world)
    before = identity()
    (world.folder / "good_init/__pycache__").mkdir(exist_ok=True)
    (world.folder / "good_init/__pycache__/stale.py").write_text("")
    (world.folder / "good_init/README.md").write_text("words")
    (info / "direct_url.json").write_text('{"url": "file:///somewhere"}')
    listed = f"{info.name}/direct_url.json,,\ngood_init/__pycache__/stale.py,,\n../bin/tool.py,,\n"
    with (info / "RECORD").open("a") as record:
        record.write(listed)
    assert identity() == before


def test_it_does_not_depend_on_how_or_where_it_is_installed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = install(world)
    listed = identity()
    make_editable(info)
    editable = identity()
    (info / "direct_url.json").unlink()
    (info / "RECORD").unlink()
    unlisted = identity()
    assert listed == editable == unlisted


def test_a_module_on_its_own_is_its_only_source(world: World) -> None:
    info = world.install(
        "good-init",
        {"initialiser.good": "good_init:Good"},
        {"good_init.py": UNVERSIONED, "a_neighbour.py": "1"},
    )
    make_editable(info)
    before = identity()
    (world.folder / "a_neighbour.py").write_text("2")
    assert identity() == before
    (world.folder / "good_init.py").write_text(UNVERSIONED + "\n# edited\n")
    assert identity() != before


def test_of_a_shared_namespace_only_the_own_package_counts(world: World) -> None:
    info = world.install(
        "good-init",
        {"initialiser.good": "shared_space.good_init:Good"},
        {"shared_space/good_init/__init__.py": UNVERSIONED, "shared_space/other/__init__.py": ""},
    )
    make_editable(info)
    before = identity()
    (world.folder / "shared_space/other/__init__.py").write_text("changed = True")
    assert identity() == before


def make_editable(info: Path) -> None:
    """Leave behind what an editable installation does: a note, and a list without the sources."""
    origin = {"url": "file:///somewhere", "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(origin))
    (info / "RECORD").write_text(f"{info.name}/METADATA,,\n_good_init.pth,,\n")
