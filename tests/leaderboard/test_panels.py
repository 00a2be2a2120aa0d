"""Small multiples: histograms, layers over training, and the last layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from initbench.leaderboard import svg
from initbench.leaderboard.histogram_plot import histogram_plot
from initbench.leaderboard.last_layer_plot import last_layer_plot
from initbench.leaderboard.page import build_page
from initbench.leaderboard.panels import COLUMNS, LAYERS, Grid, chosen, number, some_of
from initbench.leaderboard.plots import WIDTH
from initbench.leaderboard.training_plot import training_plot
from initbench.results import CurveBand, LastLayer, LayerHistograms, LayersOverTraining
from tests.factories import results

CELL = {"model": "mlp", "dataset": "mnist"}
WHERE = {**CELL, "measure": "m"}


def histograms(initialiser: str, **fields: Any) -> LayerHistograms:
    values: dict[str, Any] = {
        "quantity": "activations",
        "checkpoint": "initial",
        "layers": ["main.linear1", "main.head"],
        "deviations": [0.5, None],
        "reach": 1.5,
        "shares": [[0.1, 0.4, 0.4, 0.1], [0.0] * 4],
        "beyond": [0.0, 0.0],
        "n": 3,
    }
    return LayerHistograms(initialiser=initialiser, **WHERE, **{**values, **fields})


def training(initialiser: str, *curves: list[float | None], **fields: Any) -> LayersOverTraining:
    shown = list(curves) or [[0.1, 0.2, 0.4], [1.0, 1.0, 2.0]]
    steps = [0, 500, 1000][: len(shown[0])]
    values: dict[str, Any] = {
        "unit": "deviation",
        "layers": [f"main.linear{i}" for i in range(1, len(shown) + 1)],
        "steps": steps,
        "median": shown,
        "low": shown,
        "high": shown,
        "n": [3] * len(steps),
    }
    return LayersOverTraining(initialiser=initialiser, **WHERE, **{**values, **fields})


def last(initialiser: str, deviation: list[float | None], mean: float = 0.0) -> LastLayer:
    steps = [0, 500, 1000][: len(deviation)]
    kinds = ("weight", "activation", "gradient")
    return LastLayer(
        initialiser=initialiser,
        **CELL,
        layer="main.head",
        steps=steps,
        mean={kind: [mean] * len(steps) for kind in kinds},
        deviation=dict.fromkeys(kinds, deviation),
        n=[3] * len(steps),
    )


def drawn(plot: Element | None) -> Element:
    assert plot is not None
    return plot


def texts(plot: Element) -> list[str]:
    return [text.text or "" for text in plot.iter("text")]


def paths(plot: Element, tag: str, classes: str) -> list[list[tuple[float, float]]]:
    found = [e for e in plot.iter(tag) if e.get("class") == classes]
    split = [[pair.split(",") for pair in e.attrib["points"].split()] for e in found]
    return [[(float(x), float(y)) for x, y in points] for points in split]


def inside(plot: Element) -> bool:
    """Say whether all that is drawn lies within the plot."""
    _, _, width, height = map(float, plot.attrib["viewBox"].split())
    points = [p for e in plot.iter() for p in e.get("points", "").split()]
    at = [tuple(map(float, p.split(","))) for p in points]
    at += [(float(t.attrib["x"]), float(t.attrib["y"])) for t in plot.iter("text")]
    return all(0 <= x <= width and 0 <= y <= height for x, y in at)


# --- panels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, COLUMNS, COLUMNS + 1, 3 * COLUMNS])
def test_panels_do_not_overlap_and_fit(count: int) -> None:
    grid = Grid(count, 3, 50)
    boxes = [(grid.x(i), grid.y(i, row)) for i in range(count) for row in range(3)]
    for i, (x, y) in enumerate(boxes):
        assert 0 <= x.start < x.end <= WIDTH
        assert 0 <= y.end < y.start <= grid.height
        for other_x, other_y in boxes[i + 1 :]:
            beside = x.end <= other_x.start or other_x.end <= x.start
            below = y.start <= other_y.end or other_y.start <= y.end
            assert beside or below


@pytest.mark.parametrize("count", [1, LAYERS, LAYERS + 1, 100])
def test_of_many_layers_the_first_and_the_last_are_among_those_drawn(count: int) -> None:
    positions = chosen([str(i) for i in range(count)])
    assert positions == sorted(set(positions))
    assert len(positions) == min(count, LAYERS)
    assert (positions[0], positions[-1]) == (0, count - 1)
    assert bool(some_of([[str(i) for i in range(count)]])) == (count > LAYERS)


@pytest.mark.parametrize(
    ("x", "text"),
    [(-0.5, "−0.5"), (1e-9, "1e−9"), (0.0, "0"), (float("inf"), "inf"), (9949, "9900")],
)
def test_numbers_are_short(x: float, text: str) -> None:
    assert number(x) == text


# --- histograms ---------------------------------------------------------------------------------


def test_each_layer_has_its_bars_and_its_deviation() -> None:
    plot = drawn(histogram_plot([histograms("he")], "he", title="t", prefix="p"))
    (bars,) = paths(plot, "polygon", "bars")  # nothing was finite in the other layer
    assert len(bars) == 2 + 2 * 4
    heights = [y for _, y in bars]
    assert min(heights) == heights[3] == heights[5]  # the two highest bars fill the panel
    shown = texts(plot)
    assert {"he", "linear1", "head", "σ 0.5", "not finite", "−1.5", "0", "1.5"} <= set(shown)  # noqa: RUF001
    assert inside(plot)


def test_initialisers_have_the_colours_of_the_other_plots() -> None:
    cells = [histograms(name) for name in ("default", "he", "lsuv")]
    plot = drawn(histogram_plot(cells, "default", title="t", prefix="p"))
    styles = [g.attrib["class"] for g in plot.iter("g")]
    assert styles == ["series reference", "series c1 d1", "series c2 d2"]


def test_a_network_without_one_of_the_layers_has_an_empty_panel() -> None:
    short = histograms("b", layers=["main.linear1"], deviations=[1.0], shares=[[0.5, 0.5]])
    plot = drawn(histogram_plot([histograms("a"), short], "a", title="t", prefix="p"))
    assert len(paths(plot, "polygon", "bars")) == 2
    assert histogram_plot([], "a", title="t", prefix="p") is None


# --- layers over training -----------------------------------------------------------------------


def test_each_layer_has_a_line_and_its_name() -> None:
    plot = drawn(training_plot([training("he")], title="t", prefix="p"))
    first, second = paths(plot, "polyline", "line")
    assert [x for x, _ in first] == [x for x, _ in second]
    assert first[0][1] - first[1][1] == pytest.approx(first[1][1] - first[2][1], abs=0.02)
    assert {"he", "linear1", "linear2", "deviation", "1,000 steps"} <= set(texts(plot))
    assert inside(plot)


def test_what_diverged_is_said_to_and_does_not_stretch_the_axis() -> None:
    short = training("fan-in", [1e9], [1e12])
    alone = paths(drawn(training_plot([training("he")], title="t", prefix="p")), "polyline", "line")
    plot = drawn(training_plot([training("he"), short], title="t", prefix="p"))
    assert [[y for _, y in line] for line in paths(plot, "polyline", "line")[:2]] == [
        [y for _, y in line] for line in alone
    ]
    assert "diverged" in texts(plot)
    assert inside(plot)


def test_where_all_diverged_they_are_drawn_all_the_same() -> None:
    plot = training_plot([training("a", [1e9, 1e10]), training("b", [5.0])], title="t", prefix="p")
    assert texts(drawn(plot)).count("diverged") == 1


@pytest.mark.parametrize("curve", [[None, None, None], [0.0, 0.0, 0.0]])
def test_where_nothing_can_be_drawn_there_is_no_plot(curve: list[float | None]) -> None:
    assert training_plot([training("a", curve)], title="t", prefix="p") is None
    assert training_plot([], title="t", prefix="p") is None


def test_many_layers_are_told_apart_by_their_shade() -> None:
    plot = drawn(training_plot([training("a", *[[1.0, 2.0, 3.0]] * 20)], title="t", prefix="p"))
    shades = [g.attrib["class"] for g in plot.iter("g")]
    assert shades == [f"series shade{i}" for i in range(LAYERS)]


# --- the last layer -----------------------------------------------------------------------------


def test_means_have_a_band_of_one_deviation() -> None:
    plot = drawn(last_layer_plot([last("he", [1.0, 1.5, 2.0])], "he", title="t", prefix="p"))
    lines, bands = paths(plot, "polyline", "line"), paths(plot, "polygon", "deviation")
    assert len(lines) == len(bands) == 3
    for line, band in zip(lines, bands, strict=True):
        upper, lower = band[:3], band[:2:-1]
        widths = [low[1] - high[1] for high, low in zip(upper, lower, strict=True)]
        assert widths[2] == pytest.approx(2 * widths[0], rel=1e-2)
        assert line[0][1] == pytest.approx((upper[0][1] + lower[0][1]) / 2, abs=0.02)
    assert texts(plot).count("σ 1 → 2") == 3  # noqa: RUF001
    assert {"weights", "activations", "gradients", "1,000 steps"} <= set(texts(plot))
    assert inside(plot)


def test_what_diverged_is_cut_off_at_the_edge() -> None:
    cells = [last("he", [1.0, 1.0, 1.0]), last("fan-in", [1e6])]
    plot = drawn(last_layer_plot(cells, "he", title="t", prefix="p"))
    assert {"diverged", "σ 1e6", "−1", "1"} <= set(texts(plot))  # noqa: RUF001
    assert inside(plot)


def test_gaps_and_zeros_are_drawn_around() -> None:
    holes = last_layer_plot([last("he", [0.0, None, 0.0])], "he", title="t", prefix="p")
    assert len(paths(drawn(holes), "polyline", "line")) == 3
    assert last_layer_plot([], "he", title="t", prefix="p") is None


# --- on the page --------------------------------------------------------------------------------


def test_the_page_says_what_each_figure_shows() -> None:
    here = {"model": "zoo_cnn", "dataset": "digits"}
    of_measure = {**here, "measure": "test_accuracy"}
    deep = [f"layer{i}" for i in range(20)]
    losses = [
        CurveBand(name, **here, steps=steps, mean=mean, low=mean, high=mean, n=2, quantity="loss")
        for name, steps, mean in (("default", [0, 9], [2.3, 0.5]), ("he", [0], [1e9]))
    ]
    histogram = histograms("he", layers=deep, deviations=[1.0] * 20, shares=[[0.5, 0.5]] * 20)
    page = build_page(
        [
            results(
                initialisers=("default", "he"),
                seeds=2,
                histograms=[replace(histogram, checkpoint="last", **of_measure)],
                layers_over_training=[replace(training("he"), **of_measure)],
                last_layers=[replace(last("he", [1.0, 2.0]), **here)],
                losses=losses,
            )
        ]
    )
    assert "activations after training, 8 of 20 layers" in page
    assert "</strong>, by layer: median over trials" in page
    assert "The last layer, <bdi>head</bdi>, while training" in page
    (loss,) = [part for part in page.split("<figure") if "Validation loss while" in part]
    assert "default: 0.5" in loss
    assert "he: " not in loss


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "a" * 300])
def test_hostile_names_are_escaped_and_shortened(hostile: str) -> None:
    plots = [
        histogram_plot(
            [histograms(hostile, layers=[hostile, "b"])], "x", title=hostile, prefix="p"
        ),
        training_plot([training(hostile, [1.0, 2.0])], title=hostile, prefix="p"),
        last_layer_plot([last(hostile, [1.0, 1.0])], "x", title=hostile, prefix="p"),
    ]
    for plot in plots:
        assert "<script>" not in svg.markup(drawn(plot))
        assert max(map(len, texts(drawn(plot)))) < 75


def test_layers_with_long_names_are_called_by_their_place() -> None:
    deep = [f"stage{i}_block1.conv1" for i in range(20)]
    shares = {"deviations": [1.0] * 20, "shares": [[0.5, 0.5]] * 20, "beyond": [0.0] * 20}
    plots = [
        histogram_plot([histograms("a", layers=deep, **shares)], "a", title="t", prefix="p"),
        training_plot([training("a", *[[1.0, 2.0]] * 20, layers=deep)], title="t", prefix="p"),
    ]
    for plot in plots:
        shown = [text for text in texts(drawn(plot)) if text.startswith("layer ")]
        assert shown == [f"layer {i + 1}" for i in chosen(deep)]
        assert "stage0_block1.conv1" in svg.markup(drawn(plot))  # it is read out
