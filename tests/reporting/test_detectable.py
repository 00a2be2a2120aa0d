from __future__ import annotations

import math

import numpy as np
import pytest

from initbench.reporting.detectable import Detectable, detectable
from initbench.reporting.observed import Observed
from initbench.statistics.power import Spread, power_of_difference
from tests.reporting.cases import ACCURACY, DEFAULT, HE, suite, trials

CELLS = {"default": trials("default", DEFAULT), "he": trials("he", HE)}


def found(known: int, **fields: object) -> Detectable:
    """What the suite can show when the first trials of each cell have records."""
    records = {trial.key: trial for cell in CELLS.values() for trial in cell[:known]}
    (only,) = detectable(suite(CELLS, seeds=range(8), **fields), records, [ACCURACY], Observed())
    return only


def test_rule_26_without_records_the_difference_is_in_deviations() -> None:
    none = found(0)
    assert (none.difference, none.seen_on, none.comparisons, none.seeds) == (None, 0, 1, 8)
    assert none.in_deviations is not None
    assert power_of_difference(Spread(1.0), none.in_deviations, 8, 0.05) == pytest.approx(0.8)


def test_rule_26_with_records_it_is_in_the_unit_of_the_measure() -> None:
    some = found(5)
    sd = np.std(np.subtract(HE[:5], DEFAULT[:5]), ddof=1)
    assert some.seen_on == 1
    assert some.in_deviations is not None
    assert some.difference == pytest.approx(some.in_deviations * sd)


def test_rule_26_welch_takes_the_deviations_of_both_groups() -> None:
    none, some = found(0, test="welch"), found(8, test="welch")
    of_groups = Spread.of_groups(HE, DEFAULT)
    assert of_groups is not None
    assert none.in_deviations is not None
    unit = Spread(math.sqrt(2), 2.0)
    assert power_of_difference(unit, none.in_deviations, 8, 0.05) == pytest.approx(0.8)
    assert some.difference == pytest.approx(none.in_deviations * of_groups.sd / math.sqrt(2))


def test_rule_26_the_level_is_shared_by_the_comparisons_unless_nothing_is_corrected() -> None:
    cells = {**CELLS, "lsuv": trials("lsuv", HE), "xavier": trials("xavier", HE)}
    for correction, level in (("holm", 0.05 / 3), ("bonferroni", 0.05 / 3), ("none", 0.05)):
        planned = suite(cells, seeds=range(8), correction=correction)
        (only,) = detectable(planned, {}, [ACCURACY], Observed())
        assert only.in_deviations is not None
        assert power_of_difference(Spread(1.0), only.in_deviations, 8, level) == pytest.approx(0.8)


def test_rule_26_the_family_is_that_which_the_suite_asks_for() -> None:
    cells = {**CELLS, "lsuv": trials("lsuv", HE), "xavier": trials("xavier", HE)}
    (only,) = detectable(suite(cells, seeds=range(8), family="all"), {}, [ACCURACY], Observed())
    assert only.comparisons == 6


def test_rule_26_student_takes_one_deviation_for_both_groups() -> None:
    some = found(8, test="student_t")
    pooled = Spread.of_pooled_groups(HE, DEFAULT)
    assert pooled is not None
    assert some.in_deviations is not None
    assert some.difference == pytest.approx(some.in_deviations * pooled.sd / math.sqrt(2))
