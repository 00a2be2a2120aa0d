from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from initbench.leaderboard import svg
from initbench.leaderboard.layer_plot import NAMED, layer_plot
from initbench.results import LayerBand


def band(
    initialiser: str, median: Sequence[float | None], layers: Sequence[str] = (), **fields: Any
) -> LayerBand:
    names = list(layers) or [f"conv{i}" for i in range(1, len(median) + 1)]
    values: dict[str, Any] = {
        "model": "zoo_cnn",
        "dataset": "digits",
        "measure": "dead_units",
        "unit": "fraction",
        "logarithmic": False,
        "layers": names,
        "median": list(median),
        "low": [x and 0.8 * x for x in median],
        "high": [x and 1.2 * x for x in median],
        "n": 5,
    }
    return LayerBand(initialiser=initialiser, **{**values, **fields})


def drawn(*bands: LayerBand) -> Element:
    plot = layer_plot(bands, "default", title="dead units by layer", prefix="p")
    assert plot is not None
    return plot


def texts(plot: Element) -> list[str]:
    return [text.text or "" for text in plot.iter("text")]


def points(series: Element, tag: str) -> list[tuple[float, float]]:
    path = next(p for p in series.iter(tag) if p.get("class") in ("line", "band"))
    pairs = [pair.split(",") for pair in path.attrib["points"].split()]
    return [(float(x), float(y)) for x, y in pairs]


def series(plot: Element) -> list[Element]:
    return [g for g in plot.iter("g") if g.attrib["class"].startswith("series")]


def test_each_initialiser_has_a_line_a_band_and_its_name() -> None:
    plot = drawn(band("default", [0.1, 0.2, 0.3]), band("he", [0.3, 0.3, 0.1]))
    first, second = series(plot)
    assert first.attrib["class"] == "series reference"
    assert len(points(first, "polyline")) == 3
    assert len(points(first, "polygon")) == 6
    assert {"default", "he", "conv1", "conv2", "conv3"} <= set(texts(plot))
    assert second.find("title").text == "he 30.00 to 10.00 %, median of 5 trials"  # type: ignore


def test_a_logarithmic_axis_puts_powers_of_ten_at_equal_distances() -> None:
    plot = drawn(band("he", [1e-4, 1e-2, 1.0], unit="variance", logarithmic=True))
    (x1, y1), (x2, y2), (x3, y3) = points(series(plot)[0], "polyline")
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.02)
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.02)
    assert {"0.0001", "0.001", "0.01", "0.1", "1"} <= set(texts(plot))


@pytest.mark.parametrize("logarithmic", [False, True])
def test_what_is_not_finite_is_not_drawn(logarithmic: bool) -> None:
    holes = band("he", [0.5, None, 0.25], logarithmic=logarithmic)
    assert len(points(series(drawn(holes))[0], "polyline")) == 2
    nothing = band("he", [None, None])
    assert layer_plot([nothing], "he", title="t", prefix="p") is None
    assert layer_plot([], "he", title="t", prefix="p") is None


def test_zero_has_no_place_on_a_logarithmic_axis() -> None:
    zero = band("he", [0.0, 0.5], logarithmic=True)
    assert len(points(series(drawn(zero))[0], "polyline")) == 1


def test_zeros_lie_at_the_bottom() -> None:
    zeros = drawn(band("he", [0.0, 0.0]))
    assert {"0", "20", "100"} <= set(texts(zeros))
    assert not any(text.startswith("-") for text in texts(zeros))


def test_many_layers_are_counted_not_named() -> None:
    many = band("he", [0.1 + 0.01 * i for i in range(NAMED + 12)])
    shown = texts(drawn(many))
    assert "1" in shown
    assert "conv1" not in shown


def test_layers_that_only_some_have_are_in_their_place() -> None:
    plot = drawn(band("default", [0.1, 0.2, 0.3]), band("he", [0.3], layers=["conv3"]))
    long, short = series(plot)
    assert points(short, "polyline")[0][0] == points(long, "polyline")[2][0]


def test_one_layer_can_be_drawn() -> None:
    assert "conv1" in texts(drawn(band("he", [0.3])))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(-0.3, 0.8, [1, 2, 5]), (-0.31, 0.8, [0.5, 1, 2, 5]), (-2.2, 1.1, [0.01, 0.1, 1, 10])],
)
def test_ticks_of_powers_are_round(low: float, high: float, ticks: list[float]) -> None:
    found = [10**t for t in svg.Span(low, high, 0, 1).powers()]
    assert found == pytest.approx(ticks)


def test_a_short_logarithmic_axis_has_ticks_all_the_same() -> None:
    assert len(svg.Span(0.32, 0.6, 0, 1).powers()) > 2


def test_hostile_names_are_escaped() -> None:
    plot = drawn(band("<script>", [0.1, 0.2], layers=["<b>", "&x"]))
    assert "<script>" not in svg.markup(plot)
