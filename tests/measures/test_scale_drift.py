from __future__ import annotations

import math

import pytest

from initbench.errors import UserError
from initbench.measures.scale_drift import ScaleDrift, ScaleDriftConfig
from initbench.store.record import LayerCurves, Record
from tests.factories import record

CURVES: list[list[float | None]] = [[1.0, 5.0, 100.0], [2.0, 2.0, 0.2], [None, None, None]]


def trial(curves: list[list[float | None]] = CURVES) -> Record:
    names = ["conv", "fc", "hidden"][: len(curves)]
    values = {"weight_std": curves, "gradient_norm": [[1.0, 1.0, 1.0]] * len(curves)}
    seen = LayerCurves(layers=names, steps=[0, 5, 10], epochs=[0, 1, 2], values=values)
    return record(layers=seen)


@pytest.mark.parametrize(
    ("config", "value", "label"),
    [
        ({}, 1.5, "scale_drift.weight_std"),
        ({"layer": "conv"}, 2.0, "scale_drift.weight_std.conv"),
        ({"layer": "fc"}, 1.0, "scale_drift.weight_std.fc"),
        ({"quantity": "gradient_norm"}, 0.0, "scale_drift.gradient_norm"),
    ],
)
def test_it_is_the_powers_of_ten_between_start_and_end(
    config: dict[str, str], value: float, label: str
) -> None:
    measure = ScaleDrift(ScaleDriftConfig.model_validate(config))
    assert measure.of_record(trial()) == pytest.approx(value)
    assert measure.label() == label


def test_the_last_layer_is_the_last_that_there_is() -> None:
    measure = ScaleDrift(ScaleDriftConfig(layer="last"))
    assert measure.of_record(trial(CURVES[:2])) == pytest.approx(1.0)
    assert measure.of_record(trial()) == math.inf  # nothing was seen of it


@pytest.mark.parametrize("curve", [[0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, None]])
def test_from_or_to_nothing_is_infinitely_far(curve: list[float | None]) -> None:
    assert ScaleDrift(ScaleDriftConfig()).of_record(trial([curve])) == math.inf


def test_rule_2_what_diverged_has_the_worst_score() -> None:
    assert ScaleDrift(ScaleDriftConfig()).worst(record()) == math.inf
    assert ScaleDrift(ScaleDriftConfig()).of_record(record()) == math.inf


def test_recipes_that_watch_no_layers_are_refused_with_a_hint() -> None:
    measure = ScaleDrift(ScaleDriftConfig())
    assert measure.misfit({"evaluation": {"every": 1, "layers": True}}) is None
    reason = measure.misfit({"evaluation": {"every": 1}})
    assert reason is not None
    assert "add `evaluation: {layers: true}`" in reason


def test_unknown_layers_are_answered_with_close_ones() -> None:
    with pytest.raises(UserError, match="unknown layer `cnv`; did you mean `conv`"):
        ScaleDrift(ScaleDriftConfig(layer="cnv")).of_record(trial())
