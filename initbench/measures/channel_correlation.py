"""How alike the filters of a layer are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from initbench.measures.layers import LayerConfig, LayerMeasure, of_layers

if TYPE_CHECKING:
    from initbench.probes.probe import Observation, Probe


class ChannelCorrelationConfig(LayerConfig):
    """Which weights are looked at, and what is made of their correlations."""

    checkpoint: Literal["initial", "best", "last"] = "initial"
    statistic: Annotated[
        Literal["mean_magnitude", "deviation"],
        Field(description="mean |r| of pairs of filters, or the deviation of r as in K22's code"),
    ] = "mean_magnitude"


class ChannelCorrelation(LayerMeasure[ChannelCorrelationConfig]):
    """The mean |r_ij| over pairs i < j of filters of a layer, and its mean over layers.

    r is the Pearson correlation between the weights of two output channels: what figure 2 of
    Knyazev (2022, arXiv 2207.10049) shows of predicted and other weights. With `statistic:
    deviation` it is the deviation of all entries of r that the released code scales its noise by.

    Independent filters of n weights have about sqrt(2 / (pi n)), so layers with few inputs have
    more, and initialisers are to be compared, not layers. Lower is better in the sense of the
    paper: more diverse filters were fine-tuned better.
    """

    name = "channel_correlation"
    summary = "Mean magnitude of the correlation between two filters of a layer."
    unit = "correlation"
    direction = "lower"
    needs_classes = False
    Config = ChannelCorrelationConfig

    def probe(self) -> Probe:
        from initbench.probes.weights import Weights

        return Weights(self.config.checkpoint)

    def by_layer(self, observation: Observation) -> dict[str, float]:
        deviation = self.config.statistic == "deviation"
        return of_layers(observation, "correlation_deviation" if deviation else "correlation")
