"""How far training moves the scale of what a network starts with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from initbench.errors import unknown_name
from initbench.measures.layers import LayerConfig
from initbench.measures.measure import RecordMeasure

if TYPE_CHECKING:
    from initbench.store.record import LayerCurves, Record

Quantity = Literal["weight_std", "activation_variance", "gradient_variance", "gradient_norm"]


class ScaleDriftConfig(LayerConfig):
    """What is followed over training, and in which layer."""

    quantity: Annotated[Quantity, Field(description="of each layer, as its curve is recorded")] = (
        "weight_std"
    )
    layer: Annotated[
        str | None,
        Field(min_length=1, description="its name in the network, or `last`; by default all"),
    ] = None


class ScaleDrift(RecordMeasure[ScaleDriftConfig]):
    """The mean over layers of |log10 (q at the end / q at the start)|, in powers of ten.

    q is a scale that the recipe recorded at each evaluation (`evaluation: {layers: true}`): the
    deviation of the weights, of a hypernetwork the generated ones; the variance of the
    activations, or of the gradient of one image's loss with respect to them; or the norm of the
    gradient of the mean loss with respect to the weights. 0: training kept the scale that the
    initialiser chose, which says nothing about how good that is. Infinite where a scale begins or
    ends at zero. By layer and evaluation, the scales themselves are shown, as in appendix B.1 of
    Chang et al. (2020).
    """

    name = "scale_drift"
    summary = "How far training moves the scale of weights, activations or gradients of layers."
    unit = "powers of ten"
    direction = "lower"
    needs_classes = False
    Config = ScaleDriftConfig

    def label(self) -> str:
        layer = f".{self.config.layer}" if self.config.layer else ""
        return f"{self.name}.{self.config.quantity}{layer}"

    def misfit(self, recipe: Mapping[str, Any]) -> str | None:
        if recipe["evaluation"].get("layers"):
            return None
        return (
            "the recipe does not watch layers; add `evaluation: {layers: true}` to it, or take "
            "the measure out"
        )

    def of_record(self, record: Record) -> float:
        if record.layers is None:
            return math.inf
        found = self.by_layer(record.layers)
        drifts = [_powers(curve) for curve in found.values()]
        return fmean(drifts) if drifts else math.inf

    def worst(self, record: Record) -> float:
        return math.inf

    def by_layer(self, seen: LayerCurves) -> dict[str, list[float | None]]:
        """Return the curves of the layers that count and of which something was seen."""
        names = seen.layers
        match self.config.layer:
            case None:
                chosen = names
            case "last":
                chosen = names[-1:]
            case name if name in names:
                chosen = [name]
            case name:
                raise unknown_name("layer", name, names)
        curves = dict(zip(names, seen.values[self.config.quantity], strict=True))
        return {name: curves[name] for name in chosen if any(curves[name])}


def _powers(curve: list[float | None]) -> float:
    start, end = curve[0], curve[-1]
    if not start or not end:
        return math.inf
    return abs(math.log10(end / start))
