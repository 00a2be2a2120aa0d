"""Recipes: the training procedure as data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

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

    At the end of `test_epochs` the test split is evaluated too, for tables that follow it. At the
    end of `kept_epochs` (0: before training) the weights are kept, for those who learn from them,
    and the validation split is looked at. With `layers`, weights, activations and gradients of each
    layer are looked at too, on 300 validation images.
    """

    every: Count = 1
    unit: Literal["epoch", "batch"] = "epoch"
    test_epochs: list[Count] = []
    kept_epochs: list[Annotated[int, Field(ge=0)]] = []
    layers: bool = False

    @model_validator(mode="after")
    def _rising(self) -> Evaluation:
        for name in ("test_epochs", "kept_epochs"):
            epochs = getattr(self, name)
            if epochs != sorted(set(epochs)):
                raise ValueError(f"`{name}` must rise")
        return self

    @model_serializer(mode="wrap")
    def _complete(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not asked for: such trials keep the keys they had."""
        tree: dict[str, Any] = handler(self)
        for name in ("kept_epochs", "layers"):
            if not getattr(self, name):
                del tree[name]
        return tree


class Augmentation(Config):
    """Random crops after zero padding, and horizontal flips, drawn anew each time."""

    crop_padding: Annotated[int, Field(ge=0)] = 0
    flip: bool = False


class Continual(Config):
    """Tasks one after another, each for all `epochs`, with a hypernetwork that keeps what it knew.

    Its output for an earlier task, at the weights that a step on the present task alone would lead
    to, is drawn to what it was before the present task (von Oswald et al. 2020, as in Chang et al.
    2020, appendix B.2).
    """

    tasks: Annotated[int, Field(ge=2, description="as many as the data have")]
    output_regulariser: Annotated[
        NonNegative,
        Field(
            description="times the squared distance of generated tensors to what they were, mean "
            "over earlier tasks"
        ),
    ] = 0.005


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
    continual: Continual | None = None

    @model_serializer(mode="wrap")
    def _complete(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `continual` where tasks do not follow each other: keys stay what they were."""
        tree: dict[str, Any] = handler(self)
        if self.continual is None:
            del tree["continual"]
        return tree

    @property
    def tasks(self) -> int:
        """How many tasks are trained one after another."""
        return 1 if self.continual is None else self.continual.tasks

    @property
    def epochs_in_all(self) -> int:
        """The epochs of all tasks together."""
        return self.tasks * self.epochs

    @model_validator(mode="after")
    def _continual_is_plain(self) -> Recipe:
        if self.continual is None:
            return self
        plain = SGD(name="sgd", lr=self.optimiser.lr)
        simple = {
            "optimiser": (self.optimiser, plain),
            "schedule": (self.schedule, Constant()),
            "precision": (self.precision, "float32"),
            "clip_norm": (self.clip_norm, None),
        }
        for name, (got, needed) in simple.items():
            if got != needed:
                raise ValueError(
                    "`continual` needs plain SGD at a constant rate, without momentum, weight "
                    f"decay and clipping, in float32; `{name}` asks for something else"
                )
        return self

    @model_validator(mode="after")
    def _kept_epochs_are_reached(self) -> Recipe:
        kept = self.evaluation.kept_epochs
        if kept and kept[-1] > self.epochs_in_all:
            raise ValueError(
                f"`evaluation.kept_epochs` names epoch {kept[-1]}, but training ends after "
                f"{self.epochs_in_all} epochs"
            )
        return self
