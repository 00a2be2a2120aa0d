from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from initbench.reporting import to_csv, to_json
from initbench.results import SuiteResults
from tests.reporting.cases import (
    ACCURACY,
    DEFAULT,
    HE,
    SPEED,
    comparison_of,
    row_of,
    summary,
    trials,
)

# fmt: off
ROW_FIELDS = {
    "initialiser", "model", "dataset", "measure", "n", "failed", "mean", "std", "low", "high",
}
COMPARISON_FIELDS = {
    "measure", "model", "dataset", "initialiser", "reference", "test", "n", "difference", "low",
    "high", "p", "p_corrected", "effect", "verdict",
}
# fmt: on


@pytest.fixture(scope="module")
def results() -> SuiteResults:
    he = trials("he", [0.7, *HE[1:]])  # misses the threshold once
    return summary({"default": trials("default", DEFAULT), "he": he}, [ACCURACY, SPEED])


def test_json_is_strict_and_holds_what_is_promised(results: SuiteResults) -> None:
    tree = json.loads(json.dumps(to_json(results), allow_nan=False))
    assert all(row.keys() >= ROW_FIELDS for row in tree["rows"])
    assert all(row.keys() >= COMPARISON_FIELDS for row in tree["comparisons"])
    assert tree["rows"][0]["mean"] == row_of(results, "default").mean
    assert tree["comparisons"][0]["p"] == comparison_of(results, "he").p
    missed = next(r for r in tree["rows"] if r["values"].get("0", 0) is None)
    assert (missed["initialiser"], missed["measure"]) == ("he", "steps_to_0.8")


def test_csv_has_a_line_a_row_with_its_comparison_beside_it(results: SuiteResults) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert [line["initialiser"] for line in lines] == [r.initialiser for r in results.rows]
    reference, he = lines[0], lines[1]
    assert float(he["mean"]) == row_of(results, "he").mean
    assert float(he["difference"]) == comparison_of(results, "he").difference
    assert he["verdict"] == comparison_of(results, "he").verdict
    assert (reference["verdict"], reference["p"], reference["reference"]) == ("", "", "")
    assert {line["verdict"] for line in lines if "mean_curve" in line["measure"]} == {""}


@pytest.mark.parametrize("label", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_text_is_never_a_formula_for_a_spreadsheet(results: SuiteResults, label: str) -> None:
    hostile = replace(results, rows=[replace(results.rows[0], initialiser=label, note='a"b,c')])
    (line,) = csv.DictReader(io.StringIO(to_csv(hostile), newline=""))
    assert line["initialiser"] == f"'{label.strip()}"
    assert line["note"] == 'a"b,c'


def test_negative_numbers_stay_numbers(results: SuiteResults) -> None:
    negative = replace(results.comparisons[0], difference=-0.25)
    lines = csv.DictReader(io.StringIO(to_csv(replace(results, comparisons=[negative]))))
    assert [line["difference"] for line in lines][1] == "-0.25"
