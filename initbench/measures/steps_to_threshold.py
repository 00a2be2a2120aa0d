"""Speed: how long a network trains until its validation accuracy reaches a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from initbench.measures.curve import aligned_curves, chance, validation_curve
from initbench.measures.measure import RecordMeasure
from initbench.plugin.initialiser import Config

if TYPE_CHECKING:
    from initbench.store.record import Curve, Record

_ROUNDING = 1e-9
"""A mean of accuracies may fall short of the threshold by rounding: (0.6 + 0.7) / 2 < 0.65. The
accuracies themselves are multiples of one over the number of images, far more than this."""

_UNITS = {"step": "steps", "epoch": "epochs", "evaluation": "evaluations", "image": "images"}


def _possible(threshold: float) -> float:
    if not 0 < threshold <= 1:
        raise ValueError(
            f"a threshold is a validation accuracy above 0 and at most 1, got {threshold:g}; "
            "65 % is written 0.65"
        )
    return threshold


class StepsToThresholdConfig(Config):
    """The validation accuracy to reach, and what is counted until then."""

    threshold: Annotated[
        float,
        AfterValidator(_possible),
        Field(json_schema_extra={"exclusiveMinimum": 0, "maximum": 1}),
    ]
    unit: Literal["step", "epoch", "evaluation", "image"] = "step"


class StepsToThreshold(RecordMeasure[StepsToThresholdConfig]):
    """The first evaluation at which the validation accuracy is at or above the threshold (rule 6).

    By trial: its own first crossing, infinite if there is none. Of all trials of a cell: the first
    crossing of their pointwise mean curve, which is the number that Harder et al. (2023) print.

    Evaluations are counted from 0, before training. Images are steps times the mean number of
    images a step, exact at the end of an epoch. A miss counts as the complete run where a finite
    number is needed.
    """

    name = "steps_to_threshold"
    summary = "Training until the validation accuracy reaches a threshold; misses are infinite."
    unit = "steps"
    direction = "lower"
    Config = StepsToThresholdConfig

    def __init__(self, config: StepsToThresholdConfig) -> None:
        super().__init__(config)
        self.unit = _UNITS[config.unit]

    def label(self) -> str:
        return f"{self.unit}_to_{self.config.threshold:g}"

    def of_record(self, record: Record) -> float:
        curve = validation_curve(record)
        return self._crossing(curve.values, curve, record)

    def worst(self, record: Record) -> float:
        return math.inf

    def cap(self, record: Record) -> float:
        match self.config.unit:
            case "step":
                return record.budget_steps
            case "epoch":
                return float(_recipe(record)["epochs"])
            case "evaluation":
                return float(_last_evaluation(record))
            case "image":
                return round(record.budget_steps * _images_a_step(record))

    def of_population(self, records: Sequence[Record]) -> float | None:
        curves = aligned_curves(records)
        if curves is None:
            return math.inf
        mean = [math.fsum(column) / len(column) for column in zip(*curves.values, strict=True)]
        longest = max(records, key=lambda record: record.cost.steps)
        return self._crossing(mean, curves.axis, longest)

    def note(self, records: Sequence[Record]) -> str:
        guessing = max((chance(record) for record in records), default=0.0)
        if self.config.threshold > guessing + _ROUNDING:
            return ""
        return f"the threshold {self.config.threshold:g} is not above chance ({guessing:g})"

    def _crossing(self, values: Sequence[float | None], axis: Curve, record: Record) -> float:
        enough = self.config.threshold - _ROUNDING
        for index, value in enumerate(values):
            if value is not None and value >= enough:
                return self._position(index, axis, record)
        return math.inf

    def _position(self, index: int, axis: Curve, record: Record) -> float:
        match self.config.unit:
            case "step":
                return axis.steps[index]
            case "epoch":
                return axis.epochs[index]
            case "evaluation":
                return index
            case "image":
                return round(axis.steps[index] * _images_a_step(record))


def _last_evaluation(record: Record) -> int:
    """Return the index of the last evaluation of a complete run, which is always at its end."""
    recipe = _recipe(record)
    every, unit = int(recipe["evaluation"]["every"]), recipe["evaluation"]["unit"]
    length = int(recipe["epochs"]) if unit == "epoch" else record.budget_steps
    return math.ceil(length / every)


def _images_a_step(record: Record) -> float:
    """Return the mean batch size, which the last batch of an epoch may make a little smaller."""
    if record.cost.steps == 0:  # it failed before its first step
        return float(_recipe(record)["batch_size"])
    return record.cost.images_seen / record.cost.steps


def _recipe(record: Record) -> dict[str, Any]:
    recipe: dict[str, Any] = record.identity["recipe"]
    return recipe
