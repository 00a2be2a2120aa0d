"""`initbench suite`: whole outputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from initbench.cli import run_command
from initbench.suite.find import bundled_suites
from initbench.suite.load import load_suite
from initbench.suite.schema_export import json_schema
from tests.suite.worlds import SMALL, edited

BUNDLED = ", ".join(f"`{name}`" for name in bundled_suites())

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], in_tmp_path: Path) -> Run:
    """Run a command; return its exit code, its output and what it said on the way."""

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run_command(["suite", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_the_list_has_a_row_for_each_bundled_suite(run: Run) -> None:
    code, out, err = run("list")
    assert (code, err) == (0, "")
    rows = [line.split("  ") for line in out.splitlines()]
    found = {cells[0].strip(): [c.strip() for c in cells if c.strip()] for cells in rows}
    assert set(bundled_suites()) <= set(found)
    assert found["quickstart"] == [
        "quickstart", "Classical initialisers on digits", "1", "1", "12", "10", "smoke",
    ]  # fmt: skip


def test_show_prints_the_suite_as_it_would_be_run(run: Run) -> None:
    write("small.yaml", SMALL)
    code, out, err = run(
        "show", "small.yaml", "--profile", "smoke", "--set", "initialisers.he.gain=1.5",
        "--set", "title=012", "--only", "initialiser=default,he(gain=1.5)", "--seeds", "4,2",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert (
        out
        == """\
title: '012'
question: Does it work?
models:
  - zoo_cnn
datasets:
  - digits
initialisers:
  - default
  - name: he
    gain: 1.5
recipe:
  name: digits_quick
  epochs: 2
seeds:
  - 4
  - 2
measures:
  - test_accuracy
comparisons:
  reference: default
  test: welch
  family: reference
  correction: holm
  confidence: 0.95
  margins:
    test_accuracy: 0.01
"""
    )


def test_show_warns_where_nothing_can_be_compared(run: Run) -> None:
    code, out, err = run("show", "quickstart", "--only", "initialiser=he")
    assert code == 0
    assert err == (
        "warning: the reference `default` is left out by `--only`, so nothing is compared; add it "
        "to compare the others with it\n"
    )
    assert "initialisers:\n  - he\nrecipe:" in out


def test_what_show_prints_is_a_suite(run: Run) -> None:
    _, out, _ = run("show", "quickstart", "--profile", "smoke")
    loaded = load_suite(write("again.yaml", out))
    assert len(loaded.suite.initialisers) == 3
    assert run("validate", "again.yaml") == (0, "again.yaml: OK\n", "")


def test_validate_says_ok_for_each(run: Run) -> None:
    write("small.yaml", SMALL)
    code, out, err = run("validate", "small.yaml", "quickstart")
    assert (code, out, err) == (0, "small.yaml: OK\nquickstart: OK\n", "")


def test_validate_checks_all_and_reports_every_mistake(run: Run) -> None:
    write("small.yaml", edited(("seeds: 3", "seeds: 0"), ("[digits]", "digits")))
    write("other.yaml", SMALL)
    code, out, err = run("validate", "small.yaml", "nope.yaml", "other.yaml")
    assert code == 2
    assert out == "other.yaml: OK\n"
    assert err == (
        "error: small.yaml:4:11: `datasets`: expected a list of at least 1 item, got the string "
        '"digits"; write it as a list: [digits]\n'
        "small.yaml:10:8: `seeds`: expected a whole number of at least 1 and at most 100000, got "
        "the number 0\n"
        "error: no suite file `nope.yaml`; give the path of a YAML file, or the name of a "
        f"bundled suite ({BUNDLED})\n"
    )


def test_validate_knows_what_is_installed_also_in_profiles(run: Run) -> None:
    text = edited(("fan_out", "fan_oot"), ("    seeds: 1", "    models: [zoo_cn]"))
    code, out, err = run("validate", write("small.yaml", text))
    assert (code, out) == (2, "")
    assert err == (
        "error: small.yaml:7:22: `initialisers[1].mode`: expected `fan_in` or `fan_out`, got the "
        'string "fan_oot"; did you mean `fan_out`?\n'
        "small.yaml:15:14: unknown model `zoo_cn`; did you mean `zoo_cnn`?\n"
    )


def test_validate_needs_a_suite(run: Run) -> None:
    code, _, err = run("validate")
    assert code == 2
    assert "Missing argument 'SUITE...'" in err


def test_the_schema_is_json(run: Run) -> None:
    code, out, err = run("schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == json_schema()


def test_an_unknown_suite_is_one_message(run: Run) -> None:
    assert run("show", "quickstrat") == (
        2,
        "",
        "error: no suite `quickstrat`; did you mean `quickstart`? give the path of a YAML file, or "
        f"the name of a bundled suite ({BUNDLED})\n",
    )


@pytest.mark.parametrize("command", [[], ["list"], ["show"], ["validate"], ["schema"]])
def test_help_ends_with_two_examples(run: Run, command: list[str]) -> None:
    _, out, _ = run(*command, "--help")
    lines = [line.strip() for line in out.rstrip().splitlines()]
    assert lines[-3] == "Examples:"
    assert all(line.startswith("initbench suite ") for line in lines[-2:])
