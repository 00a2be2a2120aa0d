"""What a suite says about a hypernetwork, and the main network that it names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from initbench.errors import UserError
from initbench.models.activations import ActivationName
from initbench.plugin.initialiser import Config

Width = Annotated[int, Field(ge=1)]


class EmbeddingConfig(Config):
    """What each generated tensor (or block of one) is generated from."""

    size: Annotated[int, Field(ge=0, description="numbers of its own")] = 50
    shared: Annotated[
        int, Field(ge=0, description="further numbers, the same for all tensors, put in front")
    ] = 0
    distribution: Annotated[
        Literal["uniform", "normal"], Field(description="they are drawn from, with mean 0")
    ] = "uniform"
    variance: Annotated[float, Field(allow_inf_nan=False, description="of its own numbers")] = 1.0
    shared_variance: Annotated[
        float, Field(allow_inf_nan=False, description="of the shared numbers")
    ] = 1.0
    trainable: Annotated[bool, Field(description="trained with the hypernetwork, or fixed")] = False
    noise: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="half-width of uniform noise, drawn anew for each training step",
        ),
    ] = 0.0
    draws: Annotated[
        int,
        Field(ge=1, description="draws of the noise whose probabilities are averaged in testing"),
    ] = 10

    @field_validator("variance", "shared_variance")
    @classmethod
    def _weights_need_variance(cls, variance: float) -> float:
        if variance <= 0:
            raise ValueError(
                "expected a variance above 0: from an embedding of zeros every generated weight is "
                f"zero, whatever the hypernetwork; got {variance:g}"
            )
        return variance

    @model_validator(mode="after")
    def _something_to_generate_from(self) -> EmbeddingConfig:
        if self.size + self.shared == 0:
            raise ValueError("`size` and `shared` are both 0; expected at least one above 0")
        return self

    @property
    def inputs(self) -> int:
        """The numbers that a tensor is generated from."""
        return self.size + self.shared

    @property
    def mean_square(self) -> float:
        """The expected square of one of them, noise included."""
        total = self.size * self.variance + self.shared * self.shared_variance
        return total / self.inputs + self.noise**2 / 3


class BlockConfig(Config):
    """The blocks of `sharing: chunked`: some filters of a kernel of fixed size."""

    filters: Annotated[int, Field(ge=1, description="of a block")] = 96
    kernel: Annotated[int, Field(ge=1, description="height and width of the filters")] = 3
    features: Annotated[int, Field(ge=1, description="inputs of the shared output layer")] = 50


def completed(main: dict[str, Any]) -> dict[str, Any]:
    """Return the choice of a main network, complete, with the code behind its name.

    So whatever can change what the main network computes is part of a trial's key.

    Raises:
        UserError: there is no such model, its configuration does not validate, or it is itself a
            hypernetwork.
    """
    from initbench.plugin.registry import Registry

    given = dict(main)
    name, code = given.pop("name", None), given.pop("code", None)
    if not isinstance(name, str):
        raise UserError(
            "model `hypernetwork`: `main` has no `name`; expected the name of a model and its "
            "configuration, such as `main: {name: mlp, activation: tanh}`"
        )
    if name == "hypernetwork":
        raise UserError(
            "model `hypernetwork`: `main` is a hypernetwork; expected a model with weights of its "
            "own"
        )
    reference = Registry.shared().model(name, given).reference
    now = reference.code.tree()
    if code not in (None, now):
        raise UserError(
            f"model `hypernetwork`: the code of `{name}` is {now}, but `main` says {code}; leave "
            "out `code`"
        )
    return {"name": name, **reference.config, "code": now}


class HypernetworkConfig(Config):
    """The main network, what of it is generated, and how."""

    main: Annotated[
        dict[str, Any],
        AfterValidator(completed),
        Field(
            validate_default=True,
            description="the model whose weights are generated: `name` and its configuration",
        ),
    ] = {"name": "mlp"}
    layers: Annotated[
        Annotated[list[str], Field(min_length=1)] | None,
        Field(description="of the main network that are generated; by default all that can be"),
    ] = None
    biases: Annotated[bool, Field(description="generate the biases of these layers too")] = False
    sharing: Annotated[
        Literal["per_tensor", "per_shape", "chunked"],
        Field(
            description="of output layers: one a tensor, one for tensors of equal shape, or one "
            "for all blocks of filters"
        ),
    ] = "per_tensor"
    embedding: Annotated[
        EmbeddingConfig, Field(description="what each tensor, or block of one, is generated from")
    ] = EmbeddingConfig()
    tasks: Annotated[
        int,
        Field(
            ge=1,
            description="with an embedding of their own each; the last channel of an input is then "
            "the number of its task",
        ),
    ] = 1
    hidden: Annotated[
        list[Width], Field(description="widths of layers between embeddings and output layers")
    ] = []
    activation: Annotated[ActivationName, Field(description="after each hidden layer")] = "relu"
    blocks: Annotated[
        BlockConfig, Field(description="with `sharing: chunked`, what tensors are made of")
    ] = BlockConfig()

    @model_validator(mode="after")
    def _tasks_are_told_apart(self) -> HypernetworkConfig:
        if self.tasks == 1:
            return self
        if not self.embedding.shared or not self.embedding.trainable:
            raise ValueError(
                "several `tasks` differ in the numbers that all their tensors share and that are "
                "trained: `embedding: {size: 0, shared: 2, trainable: true}`"
            )
        if self.embedding.noise:
            raise ValueError("`embedding.noise` does not go with several `tasks`")
        if self.sharing == "chunked":
            raise ValueError("several `tasks` do not go with `sharing: chunked`")
        return self

    @model_validator(mode="after")
    def _blocks_are_simple(self) -> HypernetworkConfig:
        if self.sharing != "chunked":
            if self.blocks != BlockConfig():
                raise ValueError("`blocks` belongs to `sharing: chunked`")
            return self
        if self.hidden:
            raise ValueError("`hidden` layers do not go with `sharing: chunked`")
        if not self.embedding.size:
            raise ValueError("each block has an embedding, so `chunked` needs `embedding.size`")
        if self.biases:
            raise ValueError("blocks are filters, so `biases` do not go with `sharing: chunked`")
        return self
