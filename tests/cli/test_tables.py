"""Tables in the terminal: what is compared with the reference, and what is not, apart."""

from __future__ import annotations

import dataclasses

import pytest

from initbench.cli.tables import show_results
from initbench.cli.terminal import Terminal
from initbench.results import SuiteResults
from tests.factories import results

SMALL = results(initialisers=["default", "he", "lsuv"], seeds=4)


def shown(found: SuiteResults, capsys: pytest.CaptureFixture[str]) -> str:
    show_results(Terminal(), found)
    return " ".join(capsys.readouterr().out.split())


def test_comparisons_of_others_have_a_table_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    compared = next(c for c in SMALL.comparisons if c.initialiser == "he")
    others = [dataclasses.replace(compared, reference="lsuv", note="a remark", more_seeds=7)]
    found = dataclasses.replace(SMALL, family="all", between_others=others)
    text = shown(found, capsys)
    assert text.count("zoo_cnn on digits, without default") == 1
    assert "he lsuv 4" in text
    assert "he, lsuv: a remark" in text
    assert "Holm correction over all pairs of initialisers" in text
    reduced = shown(dataclasses.replace(found, reduced=True), capsys)
    assert "zoo_cnn on digits, without default REDUCED" in reduced


def test_without_them_there_is_no_such_table(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(SMALL, capsys)
    assert "without default" not in text
    assert "Holm correction over the family" in text


@pytest.mark.parametrize(
    ("test", "name"), [("welch", "Welch's t-test"), ("student_t", "Student's t-test")]
)
def test_the_test_is_named(test: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert name in shown(dataclasses.replace(SMALL, test=test), capsys)
