from __future__ import annotations

import pytest

from initbench.errors import CorruptRecordError
from initbench.measures.curve import aligned_curves, chance, validation_curve
from initbench.store.record import Curve, TrialStatus
from tests.factories import record


def curve(*values: float | None) -> dict[str, Curve]:
    steps = list(range(0, 10 * len(values), 10))
    epochs = [step / 10 for step in steps]
    return {"validation_accuracy": Curve(steps=steps, epochs=epochs, values=list(values))}


def test_rule_5_what_a_trial_lacks_is_at_chance() -> None:
    whole = record(curves=curve(0.1, 0.5, 0.9))
    stopped = record(curves=curve(0.1, 0.7), status=TrialStatus.DIVERGED)
    with_gap = record(curves=curve(0.1, None, 0.8))
    never_began = record(curves={}, status=TrialStatus.FAILED)
    aligned = aligned_curves([never_began, stopped, whole, with_gap])
    assert aligned is not None
    assert aligned.axis.steps == [0, 10, 20]
    assert aligned.values == [[0.1] * 3, [0.1, 0.7, 0.1], [0.1, 0.5, 0.9], [0.1, 0.1, 0.8]]


def test_no_curve_at_all() -> None:
    assert aligned_curves([]) is None
    assert aligned_curves([record(curves={}, status=TrialStatus.FAILED)]) is None


def test_rule_2_chance_is_one_over_the_number_of_classes() -> None:
    assert chance(record(classes=4)) == 0.25


def test_a_record_without_its_curve_is_named() -> None:
    broken = record(curves={})
    with pytest.raises(CorruptRecordError, match=f"{broken.key[:12]}.*validation_accuracy"):
        validation_curve(broken)
