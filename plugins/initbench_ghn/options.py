"""What several initialisers of this package let a suite choose."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from initbench.api import Config
from initbench_ghn.files import checked_digest

Head = Literal["auto", "predicted", "he", "untouched"]


class OrthogonalOptions(Config):
    """From which layer on, how much noise, and on what."""

    first_layer: Annotated[
        int | None,
        Field(ge=1, description="L, counted from 1; default: 37 of 54, in proportion to depth"),
    ] = None
    beta: Annotated[float, Field(ge=0, allow_inf_nan=False, description="scale of the noise")] = (
        3e-5
    )
    orthogonal: Annotated[bool, Field(description="false: only the noise")] = True
    noise_scope: Annotated[
        Literal["code", "all"],
        Field(description="weights of deep layers (the code), or all parameters (the paper)"),
    ] = "code"


class TrainedConfig(Config):
    """What is learnt from, for how long, and what becomes of the head."""

    dataset: Annotated[str | None, Field(description="learnt from; left out: the target's")] = None
    dataset_config: dict[str, JsonValue] = {}
    architectures: Annotated[
        tuple[int, ...],
        Field(description="depths of the residual networks learnt on, 6n + 2"),
    ] = (32, 44, 56)
    generated: Annotated[
        int, Field(ge=0, le=100_000, description="random architectures learnt on besides these")
    ] = 0
    meta_batch: Annotated[
        int | None,
        Field(ge=1, description="architectures of each step, drawn from them; default: all"),
    ] = None
    epochs: Annotated[
        int | None, Field(ge=1, description="default: 30, and 6 for data sets called pcam")
    ] = None
    milestones: Annotated[
        tuple[int, ...] | None,
        Field(description="epochs after which the rate is divided by 10; default: as published"),
    ] = None
    batch_size: Annotated[int, Field(ge=2)] = 64
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False, description="of Adam")] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-5
    start: Annotated[
        str, Field(description="a checkpoint to start from, if it is there; empty: from scratch")
    ] = "ghn2_cifar10.pt"
    start_sha256: Annotated[
        str | None, Field(validate_default=True, description="of `start`; found out where left out")
    ] = None
    kernel: Annotated[
        int, Field(ge=1, le=31, description="the largest kernel that is decoded; others repeat it")
    ] = 3
    hyperfan: Annotated[
        bool, Field(description="start where predicted weights have the variance 2 / fan-in")
    ] = False
    fidelity: Annotated[
        Literal["paper", "code"], Field(description="see docs/ghn.md for what differs")
    ] = "paper"
    amp: Annotated[bool, Field(description="run the trained networks in bfloat16")] = False
    head: Annotated[Head, Field(description="what becomes of the classifier")] = "predicted"

    @field_validator("architectures")
    @classmethod
    def _are_depths(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if any(depth < 8 or depth % 6 != 2 for depth in given):
            raise ValueError(f"expected depths 6n + 2, such as [32, 44, 56], got {list(given)}")
        return given

    @field_validator("start_sha256")
    @classmethod
    def _of_the_file(cls, given: str | None, info: ValidationInfo) -> str | None:
        start = info.data.get("start", "")
        return checked_digest(start, given) if start else given

    @model_validator(mode="after")
    def _there_are_some(self) -> TrainedConfig:
        if not self.architectures and not self.generated:
            raise ValueError("expected `architectures` or `generated`, got neither")
        return self

    @model_validator(mode="after")
    def _milestones_increase(self) -> TrainedConfig:
        if self.milestones is not None and list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"expected increasing `milestones`, got {list(self.milestones)}")
        return self


class NoiseGHNConfig(TrainedConfig):
    """What `ghn` has, and the noise."""

    noise_size: Annotated[int, Field(ge=1, le=1024, description="numbers of each node")] = 8
    noise_std: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    similarity: Annotated[
        Literal["code", "paper"],
        Field(description="cosine of all logits as one vector, or of each image's"),
    ] = "code"
    similarity_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
