"""The record: what a trial leaves behind."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

RECORD_FORMAT = 1
"""The version of this file format; a reader refuses a format it does not know, by name."""

PROTOCOL_VERSION = 1
"""Bumped by hand, with a reason in CHANGELOG.md, when the harness computes other numbers for the
same trial; golden tests fail when numbers move without a bump."""


class TrialStatus(StrEnum):
    """How a trial ended."""

    DONE = "done"
    DIVERGED = "diverged"  # NaN or infinity: a scientific outcome, scored by rule
    FAILED = "failed"  # the plugin or the model raised
    LOST = "lost"  # infrastructure: worker died, out of memory, time limit; tried again


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Failure(_Part):
    """Why a trial has no final numbers."""

    kind: str  # the exception's class, or "nan", "worker died", ...
    message: str
    log: str = ""


class Curve(_Part):
    """One quantity over training, an entry for each evaluation; index 0 is before training."""

    steps: list[int]  # optimiser steps done
    epochs: list[float]
    values: list[float | None]  # None where the value was not finite or not defined


class LayerCurves(_Part):
    """What was seen of each layer over training, where the recipe watches layers.

    The quantities are `weight_mean`, `weight_std`, `activation_mean`, `activation_variance`,
    `gradient_mean`, `gradient_variance` and `gradient_norm`.
    """

    layers: list[str]  # in forward order
    steps: list[
        int
    ]  # of the evaluations, as on a `Curve`; those of a trial that diverged end early
    epochs: list[float]
    values: dict[str, list[list[float | None]]]
    """By quantity: a list for each layer, with a number for each evaluation."""


class Cost(_Part):
    """What a trial used, summed over its attempts."""

    wall_seconds: float
    device_seconds: float
    peak_memory_bytes: int
    images_seen: int
    steps: int
    stack_size: int = 1
    devices: int = 1  # that shared the trial; `device_seconds` are those of all together
    exclusive: bool = False
    """True when nothing else ran on the device: only such wall times may be compared."""
    energy_joules: float | None = None  # of the device; None where not known, or it was shared


class CoverageRow(_Part):
    """One line of the coverage map."""

    parameter: str
    treatment: Literal["generated", "rule", "fallback", "untouched"]
    elements: int
    reason: str


class Streams(_Part):
    """Digests that prove what a trial saw and started from."""

    initial_weights: str
    batch_order: str


class Blob(_Part):
    """A file of the store, named by its content."""

    digest: str
    bytes: int


class Record(_Part):
    """One trial's outcome: whole or absent.

    `identity` is the tree under `key`. Curves are complete: `validation_accuracy`,
    `validation_loss` and `train_loss`. `final` holds one number a name: `test_accuracy.best`,
    `test_accuracy.last`, `test_accuracy.initial`, `test_loss.best`, ... and
    `validation_accuracy.best` and so on.
    """

    format: int = RECORD_FORMAT
    key: str
    identity: dict[str, Any]
    status: TrialStatus
    failure: Failure | None = None
    curves: dict[str, Curve] = {}
    layers: LayerCurves | None = None
    final: dict[str, float] = {}
    best_index: int | None = None  # of the evaluation whose checkpoint is `best`
    kept_epochs: list[int] = []  # whose weights are kept too, in this order
    coverage: list[CoverageRow] = []
    streams: Streams | None = None
    cost: Cost  # of training
    initialise_cost: Cost | None = None
    """Of setting the initial weights, and checking that; None where it failed, and in records from
    before it was measured."""
    environment: dict[str, Any]
    classes: int = 0  # for the scoring rule of failures: chance accuracy
    budget_steps: int = 0  # optimiser steps of a complete run; lost trials, never scored, have 0
    weights: Blob | None = None
    """Safetensors with `best.`, `last.` and, (epochs, ...), `kept.` before each name."""
    attempts: int = 1
    attempt_notes: list[str] = []  # where an attempt went on from, and why one could not
    notes: list[str] = []
    data_remarks: list[str] = []  # what must be said about the images it was trained on
