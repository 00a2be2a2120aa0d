from __future__ import annotations

from initbench.measures.failure_rate import FailureRate
from initbench.plugin.initialiser import Config
from initbench.store.record import TrialStatus
from tests.factories import record


def test_a_trial_that_is_done_counts_zero_and_any_other_one() -> None:
    measure = FailureRate(Config())
    assert measure.of_record(record()) == 0.0
    assert measure.worst(record(status=TrialStatus.DIVERGED)) == 1.0
    assert measure.direction == "lower"
