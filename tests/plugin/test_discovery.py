"""Listing reads metadata alone, and one broken distribution hides no other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from initbench import __version__
from initbench.errors import UserError
from initbench.plugin.discovery import Entry, discover
from tests.plugin.worlds import World


def of(distribution: str) -> list[Entry]:
    return [entry for entry in discover() if entry.distribution == distribution]


def problem_of(distribution: str) -> str:
    (entry,) = of(distribution)
    assert entry.problem is not None
    return entry.problem


def test_an_entry_point_is_listed_without_importing_its_module(world: World) -> None:
    world.install("warm", {"initialiser.warm": "warm_init:Warm"}, {"warm_init.py": "1 / 0"})
    assert of("warm") == [Entry("initialiser", "warm", "warm", "1.0", "warm_init:Warm")]
    assert "warm_init" not in sys.modules


def test_names_of_families_may_hold_slashes(world: World) -> None:
    world.install("timm-models", {"model.timm/resnet18": "timm_models:ResNet18"}, {})
    (entry,) = of("timm-models")
    assert (entry.kind, entry.name, entry.problem) == ("model", "timm/resnet18", None)


def test_the_harness_lists_its_own_things() -> None:
    names = {(entry.kind, entry.name) for entry in of("initbench")}
    assert {
        ("initialiser", "he"),
        ("model", "zoo_cnn"),
        ("dataset", "digits"),
        ("recipe", "digits_quick"),
        ("measure", "test_accuracy"),
    } <= names
    assert {entry.version for entry in of("initbench")} == {__version__}


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ("initialisor.a = m:A", "unknown kind `initialisor`; did you mean `initialiser`?"),
        ("warm = m:A", "unknown kind `warm`; known: `initialiser`, `model`, `dataset`"),
        ("initialiser. = m:A", "expected the name of the entry point to be `initialiser.<name>`"),
        ("initialiser.a b = m:A", "got `initialiser.a b`"),
        ("initialiser.a = m", "expected `module:object` as the value of the entry point, got `m`"),
        ("initialiser.a = m:", "expected `module:object` as the value"),
        ("plugin.a = m:A", "expected `module` as the value of the entry point, got `m:A`"),
    ],
)
def test_a_malformed_entry_point_is_listed_with_what_is_wrong(
    world: World, point: str, expected: str
) -> None:
    world.install("odd", f"[initbench]\n{point}\n", {})
    world.install("fine", {"model.fine": "fine:Fine"}, {})
    assert expected in problem_of("odd")
    assert of("fine")[0].problem is None


def test_unreadable_entry_points_hide_nothing_else(world: World) -> None:
    world.install("torn", "[initbench]\nno equals sign here\n", {})
    world.install("fine", {"model.fine": "fine:Fine"}, {})
    assert problem_of("torn").startswith("its entry points cannot be read: ")
    assert of("fine")[0].problem is None


def test_what_an_uninstallation_left_behind_is_listed_without_a_name(world: World) -> None:
    world.install("gone", {"model.gone": "gone:Gone"}, {}, metadata=False)
    (entry,) = [e for e in discover() if e.name == "gone"]
    assert (entry.distribution, entry.version) == ("?", "?")


def test_two_distributions_with_one_name_are_both_named(world: World) -> None:
    world.install("one", {"initialiser.warm": "one:Warm"}, {})
    world.install("two", {"initialiser.warm": "two:Warm"}, {}, version="2.5")
    for distribution in ("one", "two"):
        assert problem_of(distribution) == (
            "initialiser `warm` is provided by one 1.0 and two 2.5; uninstall one of them, or "
            "name those to use in INITBENCH_PLUGINS"
        )


def test_the_harness_own_names_cannot_be_taken_over_silently(world: World) -> None:
    world.install("usurper", {"model.zoo_cnn": "usurper:ZooCNN"}, {})
    assert f"provided by initbench {__version__} and usurper 1.0" in problem_of("usurper")


def test_of_two_installed_versions_only_the_one_that_is_imported_counts(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    world.install("warm", {"initialiser.warm": "warm:Warm"}, {}, version="1.0")
    world.install("Warm", {"initialiser.warm": "warm:Warm"}, {}, version="2.0", folder=first)
    monkeypatch.syspath_prepend(first)
    assert [(e.version, e.problem) for e in discover() if e.name == "warm"] == [("2.0", None)]


def test_an_old_version_is_hidden_by_one_that_provides_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    world.install("warm", {"initialiser.warm": "warm:Warm"}, {}, version="1.0")
    world.install("warm", "", {}, version="2.0", folder=first)
    monkeypatch.syspath_prepend(first)
    assert of("warm") == []


def test_the_environment_variable_chooses_distributions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.install("warm-one", {"initialiser.one": "one:One"}, {})
    world.install("two", {"initialiser.two": "two:Two"}, {})
    monkeypatch.setenv("INITBENCH_PLUGINS", " Warm_One, ")
    assert {entry.distribution for entry in discover()} == {"initbench", "warm-one"}
    monkeypatch.setenv("INITBENCH_PLUGINS", "")
    assert {"two", "warm-one"} <= {entry.distribution for entry in discover()}


def test_choosing_one_of_two_rivals_settles_the_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.install("one", {"initialiser.warm": "one:Warm"}, {})
    world.install("two", {"initialiser.warm": "two:Warm"}, {})
    monkeypatch.setenv("INITBENCH_PLUGINS", "two")
    assert of("two")[0].problem is None


def test_choosing_what_is_not_installed_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.install("warm", {"initialiser.warm": "warm:Warm"}, {})
    monkeypatch.setenv("INITBENCH_PLUGINS", "wram")
    with pytest.raises(UserError, match=r"unknown distribution `wram`; did you mean `warm`\?"):
        discover()
