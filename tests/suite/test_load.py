from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.errors import UnsupportedError, UserError
from initbench.plugin.configuration import configured
from initbench.plugin.initialiser import Config
from initbench.suite.find import bundled_suites, find_suite
from initbench.suite.load import load_suite
from initbench.suite.yaml_reader import read_document, write_document
from tests.suite.worlds import SMALL, edited, load

BUNDLED = ", ".join(f"`{name}`" for name in bundled_suites())


class TestFinding:
    def refusal(self, name: str) -> str:
        with pytest.raises(UserError) as caught:
            find_suite(name)
        return str(caught.value)

    def test_bundled_suites_are_found_by_name(self) -> None:
        loaded = load_suite("quickstart")
        assert loaded.name == "quickstart"
        assert loaded.command == "initbench run quickstart"

    def test_the_command_of_a_bundled_suite_has_no_path(self) -> None:
        path = bundled_suites()["quickstart"]
        assert load_suite(path).command == "initbench run quickstart"

    def test_a_path_is_shown_as_it_was_given(self) -> None:
        Path("deeper").mkdir()
        Path("deeper/mine.yaml").write_text(SMALL)
        loaded = load_suite("deeper/mine.yaml")
        assert loaded.name == "mine"
        assert loaded.origin == "deeper/mine.yaml"
        assert loaded.command == "initbench run deeper/mine.yaml"
        assert loaded.source == SMALL

    def test_a_folder_does_not_hide_a_bundled_suite(self) -> None:
        Path("quickstart").mkdir()
        assert load_suite("quickstart").name == "quickstart"

    def test_a_file_hides_a_bundled_suite(self) -> None:
        Path("quickstart").write_text(SMALL)
        assert load_suite("quickstart").suite.title == "Small"

    def test_an_unknown_name(self) -> None:
        assert self.refusal("quickstrat") == (
            "no suite `quickstrat`; did you mean `quickstart`? give the path of a YAML file, or "
            f"the name of a bundled suite ({BUNDLED})"
        )

    def test_a_missing_file_with_a_neighbour(self) -> None:
        Path("pendulum.yaml").write_text(SMALL)
        assert self.refusal("pendulem.yaml") == (
            "no suite file `pendulem.yaml`; did you mean `pendulum.yaml`? give the path of a YAML "
            f"file, or the name of a bundled suite ({BUNDLED})"
        )

    def test_a_missing_file_of_which_there_is_a_bundled_one(self) -> None:
        assert self.refusal("suites/quickstart.yaml") == (
            "no suite file `suites/quickstart.yaml`; did you mean `quickstart`? give the path of a "
            f"YAML file, or the name of a bundled suite ({BUNDLED})"
        )

    @pytest.mark.parametrize("name", ["", "nope/a.yaml", "a\0b", "x" * 5000, "..", "/dev/zero"])
    def test_other_nonsense_is_refused(self, name: str) -> None:
        with pytest.raises(UserError):
            load_suite(name)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_an_unreadable_file(self) -> None:
        Path("mine.yaml").write_text(SMALL)
        Path("mine.yaml").chmod(0)
        with pytest.raises(UserError, match=r"cannot read `mine.yaml`: Permission denied"):
            load_suite("mine.yaml")


def test_what_is_in_the_file_is_in_the_suite() -> None:
    loaded = load()
    suite = loaded.suite
    assert suite.title == "Small"
    assert [choice.name for choice in suite.initialisers] == ["default", "he", "he"]
    assert suite.initialisers[1].config == {"mode": "fan_out"}
    assert loaded.seeds == [0, 1, 2]
    assert suite.comparisons.margins == {"test_accuracy": 0.01}
    assert (loaded.profile, loaded.reduced, loaded.overrides, loaded.notes) == (None, False, [], [])


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ("3", [0, 1, 2]),
        ("[5, 1]", [5, 1]),
        ("{first: 7, count: 2}", [7, 8]),
        ("{count: 2}", [0, 1]),
    ],
)
def test_every_form_of_seeds(seeds: str, expected: list[int]) -> None:
    assert load(edited(("seeds: 3", f"seeds: {seeds}"))).seeds == expected


def test_folded_text_loses_its_last_line_break() -> None:
    text = edited(("question: Does it work?", "question: >\n  Does it\n  work?\n"))
    assert load(text).suite.question == "Does it work?"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("initialisers", "suite.yaml:6:3"),
        ("initialisers[1]", "suite.yaml:7:5"),
        ("initialisers[1].mode", "suite.yaml:7:22"),
        (("initialisers", 1, "mode"), "suite.yaml:7:22"),
        ("initialisers[0].name", "suite.yaml:6:5"),
        ("recipe.optimiser.lr", "suite.yaml:9:9"),
        ("comparisons.margins.test_accuracy", "suite.yaml:12:60"),
        ("nothing.at.all", "suite.yaml:1:1"),
    ],
)
def test_every_part_is_located(path: str, place: str) -> None:
    assert load().locate(path) == place


def test_values_of_a_profile_are_located_in_the_profile() -> None:
    assert load(profile="smoke").locate("recipe.epochs") == "suite.yaml:16:22"


class Schema(Config):
    mode: int = 1


def test_errors_of_later_stages_get_their_place() -> None:
    loaded = load()
    error = loaded.located(UnsupportedError("no tanh"), "initialisers[1]")
    assert type(error) is UnsupportedError
    assert str(error) == "suite.yaml:7:5: no tanh"
    with pytest.raises(UserError) as caught:
        configured("initialiser `he`", Schema, loaded.suite.initialisers[1].config)
    assert str(loaded.located(caught.value, "initialisers[1]")) == (
        'suite.yaml:7:22: `initialisers[1].mode`: expected a whole number, got the string "fan_out"'
    )


@pytest.mark.parametrize("options", [{}, {"profile": "smoke"}, {"only": ["initialiser=default"]}])
def test_a_suite_shown_and_loaded_again_is_the_same(options: dict[str, object]) -> None:
    loaded = load(**options)
    shown = write_document(loaded.tree())
    repeated = load(shown)
    assert repeated.suite.model_copy(update={"profiles": {}}) == loaded.suite.model_copy(
        update={"profiles": {}}
    )


def test_loading_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from initbench.suite.load import load_suite\n"
        "load_suite('quickstart', overrides=['recipe.epochs=3'])\n"
        "print([m for m in ('torch', 'mlflow', 'scipy', 'statsmodels', 'sklearn') "
        "if m in sys.modules])"
    )
    words = [sys.executable, "-c", script]
    ended = subprocess.run(words, check=True, capture_output=True, text=True)
    assert ended.stdout == "[]\n"


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_user_error(data: bytes) -> None:
    Path("hostile.yaml").write_bytes(data)
    with pytest.raises(UserError):
        load_suite("hostile.yaml")


@given(st.randoms(use_true_random=False))
def test_no_damaged_suite_raises_anything_but_a_user_error(source: random.Random) -> None:
    strange = ["null", "[]", "{}", "1e999", "-1", "'", "[*a]", "&a [1]", "no", "{name: 3}", "\t"]
    lines = SMALL.split("\n")
    for _ in range(source.randint(1, 3)):
        i = source.randrange(len(lines))
        key, colon, _ = lines[i].partition(":")
        lines[i] = source.choice([f"{key}{colon} {source.choice(strange)}", "", lines[i][2:], key])
    with contextlib.suppress(UserError):
        assert load("\n".join(lines)).suite.title


def test_bundled_suites_are_valid_with_every_profile() -> None:
    for name in bundled_suites():
        loaded = load_suite(name)
        assert not loaded.reduced
        assert "smoke" in loaded.suite.profiles
        for profile in loaded.suite.profiles:
            assert load_suite(name, profile=profile).profile == profile


def test_a_bundled_suite_shows_its_own_text() -> None:
    root = read_document(load_suite("quickstart").source, "quickstart.yaml")
    assert root.nearest(("title",)).plain() == "Classical initialisers on digits"
