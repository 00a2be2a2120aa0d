"""The configuration of a hyper-representation: its zoo, its autoencoder, and how it is sampled.

Defaults are those of the paper's zoos and of the MNIST autoencoder of the 2021 code, with the loss
normalised layer by layer (the 2022 settings are not published with the paper).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, model_validator

from initbench.api import Config

LEAST_NETWORKS = 3
"""One to learn from, one to stop by, one to judge by."""

_Start = tuple[str, Mapping[str, Any]]
_KAIMING: _Start = ("he", {"distribution": "uniform", "gain": "relu", "bias": 0.01})
_UNIFORM: _Start = ("uniform", {})
_ZOOS: Mapping[str, tuple[str, _Start]] = {
    "mnist": ("schuerholt2022_mnist", _UNIFORM),
    "svhn": ("schuerholt2022_svhn", _UNIFORM),
    "usps": ("schuerholt2022_usps", _KAIMING),
    "cifar10": ("schuerholt2022_cifar10", _KAIMING),
    "stl10": ("schuerholt2022_stl10", _KAIMING),
}
"""Recipe and start of the zoo of each data set (Schürholt et al. 2022, appendix A)."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float | None, Field(gt=0, allow_inf_nan=False, description="the preset's")]
Count = Annotated[int | None, Field(ge=1, description="the preset's")]


class Preset(Config):
    """Sizes of an autoencoder, and how long it is trained."""

    width: int
    feed_forward: int
    layers: int
    heads: int
    latent: int
    head: tuple[int, int, int]
    training_epochs: int
    batch_size: int
    rate: float


PRESETS = {
    "paper": Preset(
        width=800, feed_forward=900, layers=2, heads=4, latent=700, head=(4, 400, 50),
        training_epochs=490, batch_size=500, rate=1e-4,
    ),
    "small": Preset(
        width=64, feed_forward=96, layers=2, heads=4, latent=32, head=(3, 50, 20),
        training_epochs=490, batch_size=64, rate=1e-3,
    ),
}  # fmt: skip


class ZooConfig(Config):
    """The zoo that is learnt from; left out, that of the paper for the data set."""

    networks: Annotated[int, Field(ge=LEAST_NETWORKS, description="of the zoo")] = 1000
    dataset: Annotated[str | None, Field(description="of the zoo; left out: the target's")] = None
    dataset_config: dict[str, JsonValue] = {}
    recipe: Annotated[
        str | dict[str, JsonValue] | None,
        Field(
            description="of the zoo: a name, or changes to the one with this `name`; left out: the "
            "paper's for the data set, or else the target's"
        ),
    ] = None
    epochs: Annotated[int, Field(ge=1, description="that the zoo is trained for")] = 25
    checkpoints: Annotated[
        list[Annotated[int, Field(ge=0)]] | None,
        Field(
            min_length=1,
            description="epochs whose weights are learnt from; left out: the last five",
        ),
    ] = None
    start: Annotated[str | None, Field(description="of the zoo; left out: the paper's")] = None
    start_config: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _checkpoints_are_reached(self) -> Self:
        if self.checkpoints is not None and max(self.checkpoints) > self.epochs:
            raise ValueError(
                f"`checkpoints` ends with epoch {max(self.checkpoints)}, the zoo is trained for "
                f"`epochs: {self.epochs}`"
            )
        return self

    @property
    def kept(self) -> list[int]:
        """The epochs whose weights are learnt from."""
        if self.checkpoints is not None:
            return sorted(set(self.checkpoints))
        return list(range(max(1, self.epochs - 4), self.epochs + 1))


_NOT_OF_THE_FIT = (
    "networks", "dataset", "dataset_config", "recipe", "start", "start_config",
    "top", "sampler", "bandwidth",
)  # fmt: skip


class HyperRepresentationConfig(ZooConfig):
    """The zoo, the autoencoder that learns it, and the sampler that draws from it."""

    preset: Literal["paper", "small"] = "paper"
    width: Count = None
    feed_forward: Count = None
    layers: Count = None
    heads: Count = None
    latent: Count = None
    training_epochs: Count = None
    batch_size: Annotated[int | None, Field(ge=2, description="the preset's")] = None
    rate: Positive = None
    layer_normalised: Annotated[
        bool, Field(description="divide the error of each layer by the layer's deviation")
    ] = True
    balance: Annotated[
        Share | None,
        Field(description="of reconstruction (beta); left out: 0.95, 0.9 if not normalised"),
    ] = None
    erase: Annotated[Share, Field(description="probability that a view has a block erased")] = 0.5
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    permute: Annotated[
        bool, Field(description="neurons of views change places; off, networks are learnt by heart")
    ] = True
    align: Annotated[
        bool,
        Field(
            description="neurons of all networks are put into one common order before they are "
            "learnt, which the paper does not do; needs `permute: false`"
        ),
    ] = False
    keep: Annotated[
        Literal["best", "last"],
        Field(description="the epoch with the lowest loss of validation networks, or the last"),
    ] = "best"
    contrast: Annotated[
        Literal["nt_xent", "positives_only"],
        Field(description="`positives_only` is the released code's for CIFAR-10"),
    ] = "nt_xent"
    prior_steps: Annotated[
        int, Field(ge=1, description="in which the diffusion model of latents is trained")
    ] = 2000
    fidelity: Annotated[
        Literal["paper", "code"],
        Field(description="`code`: the best networks are chosen by accuracy on test images"),
    ] = "paper"
    images: Annotated[
        int,
        Field(ge=0, description="training images for the statistics of batch norms, if it has any"),
    ] = 0
    top: Annotated[
        float, Field(gt=0, le=1, description="share of networks, the best, that are sampled from")
    ] = 1.0
    sampler: Literal["kde_independent", "kde_shared", "kde_full", "diffusion", "reconstruction"] = (
        "kde_independent"
    )
    bandwidth: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="of the first two samplers")
    ] = 0.002

    @model_validator(mode="after")
    def _contrast_of_the_code(self) -> Self:
        if self.contrast == "positives_only" and self.fidelity == "paper":
            raise ValueError("`contrast: positives_only` needs `fidelity: code`: it is no paper's")
        return self

    @model_validator(mode="after")
    def _the_common_order_is_kept(self) -> Self:
        if self.align and self.permute:
            raise ValueError("`align` needs `permute: false`: views in random orders would undo it")
        return self

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.sizes.width % self.sizes.heads:
            raise ValueError(
                f"`width` ({self.sizes.width}) must be a multiple of `heads` ({self.sizes.heads})"
            )
        return self

    @property
    def sizes(self) -> Preset:
        """The preset, with what differs from it."""
        preset = PRESETS[self.preset]
        given = {name: getattr(self, name, None) for name in Preset.model_fields}
        return preset.model_copy(update={n: x for n, x in given.items() if x is not None})

    def of_the_fit(self) -> HyperRepresentationConfig:
        """Return what the autoencoder depends on, besides the networks of the zoo."""
        usual = HyperRepresentationConfig()
        return self.model_copy(update={name: getattr(usual, name) for name in _NOT_OF_THE_FIT})

    @property
    def beta(self) -> float:
        """Of reconstruction, among the two terms of the loss."""
        if self.balance is not None:
            return self.balance
        return 0.95 if self.layer_normalised else 0.9


def zoo_recipe(config: ZooConfig, dataset: str, target_recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe of the zoo: the configured one, the paper's, or the target's."""
    if isinstance(config.recipe, str):
        recipe: dict[str, Any] = {"name": config.recipe}
    elif config.recipe is not None:
        recipe = dict(config.recipe)
    elif dataset in _ZOOS:
        recipe = {"name": _ZOOS[dataset][0]}
    else:
        recipe = {**target_recipe, "evaluation": {}}
    return {**recipe, "epochs": config.epochs}


def zoo_start(config: ZooConfig, dataset: str) -> tuple[str, dict[str, Any]]:
    """Return the initialiser of the zoo and its configuration: the configured, or the paper's."""
    if config.start is not None:
        return config.start, dict(config.start_config)
    name, options = _ZOOS[dataset][1] if dataset in _ZOOS else _KAIMING
    return name, dict(options)
