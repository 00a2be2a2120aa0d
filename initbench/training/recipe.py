"""Recipes: the training procedure as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from initbench.plugin.initialiser import Config

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Momentum = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Betas = Annotated[tuple[Momentum, Momentum], Field(strict=False)]  # YAML and JSON know lists only


class SGD(Config):
    """Stochastic gradient descent with optional (Nesterov) momentum."""

    name: Literal["sgd"]
    lr: Positive
    momentum: Momentum = 0.0
    nesterov: bool = False
    weight_decay: NonNegative = 0.0

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and self.momentum == 0:
            raise ValueError("`nesterov` needs a `momentum` above 0")
        return self


class Adam(Config):
    """Adam; weight decay is the coupled L2 penalty."""

    name: Literal["adam"]
    lr: Positive
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0


class AdamW(Config):
    """Adam with decoupled weight decay."""

    name: Literal["adamw"]
    lr: Positive
    betas: Betas = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01


Optimiser = Annotated[SGD | Adam | AdamW, Field(discriminator="name")]


class Constant(Config):
    """The rate of the optimiser throughout."""

    name: Literal["constant"] = "constant"


class Step(Config):
    """Multiply the rate by `factors[i]` once `milestones[i]` units of training are done."""

    name: Literal["step"]
    milestones: list[Count]
    factors: list[Positive]
    unit: Literal["epoch", "batch"] = "epoch"

    @model_validator(mode="after")
    def _one_factor_a_milestone(self) -> Step:
        if len(self.milestones) != len(self.factors):
            raise ValueError(
                f"`factors` needs one entry for each of the {len(self.milestones)} milestones, "
                f"got {len(self.factors)}"
            )
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError("`milestones` must rise")
        return self


class Cosine(Config):
    """Half a cosine from the optimiser's rate to `final`, after a linear warm-up.

    With `unit: epoch` the rate stays within an epoch what it is at its first batch.
    """

    name: Literal["cosine"]
    final: NonNegative = 0.0
    warmup_batches: Annotated[int, Field(ge=0)] = 0
    unit: Literal["epoch", "batch"] = "batch"


class Plateau(Config):
    """Multiply the rate by `factor` after `patience` evaluations with no lower validation loss."""

    name: Literal["plateau"]
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Count = 10
    minimum: NonNegative = 0.0


Schedule = Annotated[Constant | Step | Cosine | Plateau, Field(discriminator="name")]


class Evaluation(Config):
    """How often the validation split is looked at; index 0 is always before training.

    At the end of `test_epochs` the test split is evaluated too, for tables that follow it.
    """

    every: Count = 1
    unit: Literal["epoch", "batch"] = "epoch"
    test_epochs: list[Count] = []

    @model_validator(mode="after")
    def _rising(self) -> Evaluation:
        if self.test_epochs != sorted(set(self.test_epochs)):
            raise ValueError("`test_epochs` must rise")
        return self


class Augmentation(Config):
    """Random crops after zero padding, and horizontal flips, drawn anew each time."""

    crop_padding: Annotated[int, Field(ge=0)] = 0
    flip: bool = False


class Recipe(Config):
    """How a network is trained; everything in it can change a trial's numbers."""

    optimiser: Optimiser
    schedule: Schedule = Constant()
    epochs: Count
    batch_size: Count
    drop_last: bool = False
    evaluation: Evaluation = Evaluation()
    augmentation: Augmentation = Augmentation()
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clip_norm: Positive | None = None
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
