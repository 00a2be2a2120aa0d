"""Plots show what the numbers say, for one line and for many, and never by colour alone."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from initbench.leaderboard import plots
from initbench.results import Comparison, CurveBand
from tests.factories import results, verdicts


def classes(element: Element) -> list[str]:
    return element.get("class", "").split()


def with_class(plot: Element, name: str) -> list[Element]:
    return [element for element in plot.iter() if name in classes(element)]


def band(name: str = "he", mean: tuple[float, ...] = (0.1, 0.5, 0.9)) -> CurveBand:
    return CurveBand(
        initialiser=name,
        model="m",
        dataset="d",
        steps=[10 * i for i in range(len(mean))],
        mean=list(mean),
        low=[x - 0.05 for x in mean],
        high=[x + 0.05 for x in mean],
        n=3,
    )


def comparison(name: str = "he", **fields: object) -> Comparison:
    values: dict[str, object] = {
        "measure": "x",
        "model": "m",
        "dataset": "d",
        "initialiser": name,
        "reference": "default",
        "test": "paired_t",
        "n": 5,
        "difference": 0.02,
        "low": 0.01,
        "high": 0.03,
        "p": 0.01,
        "p_corrected": 0.02,
        "effect": 1.0,
        "verdict": "better",
        "more_seeds": None,
    }
    return Comparison(**{**values, **fields})  # type: ignore[arg-type]


def convergence(*bands: CurveBand, reference: str = "default") -> Element:
    plot = plots.convergence(bands, reference, title="t", prefix="p")
    assert plot is not None
    return plot


def forest(*comparisons: Comparison, **options: object) -> Element:
    values: dict[str, object] = {
        "unit": "fraction",
        "direction": "higher",
        "margin": 0.005,
        "title": "t",
        "prefix": "p",
    }
    plot = plots.forest(comparisons, **{**values, **options})  # type: ignore[arg-type]
    assert plot is not None
    return plot


class TestConvergence:
    def test_every_initialiser_has_a_line_a_band_and_a_name(self) -> None:
        plot = convergence(band("he"), band("lecun"))
        series = with_class(plot, "series")
        assert [s.findtext("text") for s in series] == ["he", "lecun"]
        assert all(len(with_class(s, "band")) == 1 for s in series)
        assert all(s.get("tabindex") == "0" for s in series)

    def test_lines_are_told_apart_by_colour_and_dash(self) -> None:
        plot = convergence(*(band(f"i{k}") for k in range(32)))
        styles = [tuple(classes(s)[1:]) for s in with_class(plot, "series")]
        assert len(set(styles)) == 32
        assert all(a[0] != b[0] and a[1] != b[1] for a, b in pairwise(styles))

    def test_every_style_that_is_used_is_in_the_style_sheet(self) -> None:
        style = plots.svg.style_sheet()
        for colour in range(plots.COLOURS):
            assert style.count(f".c{colour} {{ --line: ") == 2, "one for light, one for dark"
        for dash in range(1, plots.DASHES):
            assert f".d{dash} .line {{ stroke-dasharray: " in style

    def test_a_name_keeps_its_colour_where_another_has_no_curve(self) -> None:
        nan = math.nan
        whole = convergence(band("a"), band("b"))
        partial = convergence(band("a", (nan, nan)), band("b"))
        assert classes(with_class(whole, "series")[1]) == classes(with_class(partial, "series")[0])

    def test_the_reference_stands_out(self) -> None:
        plot = convergence(band("default"), band("he"))
        assert [s.findtext("text") for s in with_class(plot, "reference")] == ["default"]

    def test_higher_values_are_drawn_higher_and_later_steps_further_right(self) -> None:
        line = with_class(convergence(band(mean=(0.1, 0.5, 0.9))), "line")[0]
        points = [tuple(map(float, p.split(","))) for p in line.get("points", "").split()]
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)

    def test_losses_are_drawn_by_powers_of_ten(self) -> None:
        losses = dataclasses.replace(
            band(mean=(10.0, 1.0, 0.1)),
            low=[10.0, 1.0, 0.1],
            high=[10.0, 1.0, 0.1],
            quantity="training loss",
        )
        plot = convergence(losses)
        line = with_class(plot, "line")[0]
        y = [float(p.split(",")[1]) for p in line.get("points", "").split()]
        assert y[1] - y[0] == pytest.approx(y[2] - y[1], abs=0.2)
        texts = ["".join(e.itertext()) for e in plot.iter("text")]
        assert {"training loss", "10", "1", "0.1"} <= set(texts)
        assert not any("%" in text for text in texts)

    def test_a_curve_has_a_gap_where_it_is_not_finite(self) -> None:
        plot = convergence(band(mean=(0.1, 0.5, math.nan, 0.7, 0.9, math.inf)))
        lines = [e for e in with_class(plot, "line") if e.tag == "polyline"]
        assert [len(e.get("points", "").split()) for e in lines] == [2, 2]

    def test_one_evaluation_is_enough(self) -> None:
        assert len(with_class(convergence(band(mean=(0.4,))), "dot")) == 1

    def test_nothing_finite_is_no_plot(self) -> None:
        assert plots.convergence([], "default", title="t", prefix="p") is None
        assert plots.convergence([band(mean=(math.nan,))], "d", title="t", prefix="p") is None

    def test_what_is_drawn_is_also_said(self) -> None:
        plot = convergence(band("he"))
        assert plot.findtext("title") == "t"
        assert "he 90.0 %" in (plot.findtext("desc") or "")
        assert plot.get("aria-labelledby") == "p-title"


class TestForest:
    @pytest.mark.parametrize("verdict", verdicts())
    def test_verdicts_are_shapes(self, verdict: str) -> None:
        line = with_class(forest(comparison(verdict=verdict)), verdict)[0]
        marker = with_class(line, "marker")[0]
        assert marker.tag == ("polygon" if verdict in {"better", "worse"} else "circle")

    def test_better_and_worse_point_in_opposite_directions(self) -> None:
        plot = forest(comparison(verdict="better"), comparison("b", verdict="worse"))
        tips = []
        for marker in with_class(plot, "marker"):
            ys = [float(p.split(",")[1]) for p in marker.get("points", "").split()]
            tips.append(ys[0] < ys[1])
        assert tips == [True, False]

    def test_positions_follow_the_numbers(self) -> None:
        plot = forest(comparison(difference=0.02, low=-0.01, high=0.05), margin=0.03)
        zero = float(with_class(plot, "zero")[0].get("x1", ""))
        interval, shaded = with_class(plot, "interval")[0], with_class(plot, "margin")[0]
        scale = float(shaded.get("width", "")) / 0.06
        assert float(interval.get("x1", "")) == pytest.approx(zero - 0.01 * scale, abs=0.1)
        assert float(interval.get("x2", "")) == pytest.approx(zero + 0.05 * scale, abs=0.1)
        assert float(shaded.get("x", "")) == pytest.approx(zero - 0.03 * scale, abs=0.1)

    @pytest.mark.parametrize(("direction", "left"), [("higher", "◂ worse"), ("lower", "◂ better")])
    def test_the_better_side_is_named(self, direction: str, left: str) -> None:
        assert left in [e.text for e in forest(comparison(), direction=direction).iter("text")]

    def test_without_a_margin_there_is_no_band(self) -> None:
        assert not with_class(forest(comparison(), margin=None), "margin")

    @pytest.mark.parametrize("missing", [None, math.nan, math.inf])
    def test_what_is_not_defined_keeps_its_line_without_a_marker(
        self, missing: float | None
    ) -> None:
        undefined = comparison("b", difference=missing, low=None, high=missing)
        lines = with_class(forest(comparison("a"), undefined), "difference")
        assert [line.findtext("text") for line in lines] == ["a", "b"]
        assert not with_class(lines[1], "marker")

    def test_nothing_defined_is_no_plot(self) -> None:
        nothing = [comparison(difference=None, low=None, high=None)]
        options = {"unit": "", "direction": "lower", "margin": None, "title": "", "prefix": "p"}
        assert plots.forest(nothing, **options) is None  # type: ignore[arg-type]
        assert plots.forest([], **options) is None  # type: ignore[arg-type]


def test_the_coverage_bar_is_full_length() -> None:
    bar = plots.coverage_bar([("generated", 0.7), ("rule", 0.2), ("untouched", 0.1)])
    widths = [float(rect.get("width", "")) for rect in bar]
    assert widths == pytest.approx([84, 24, 12])
    assert float(bar[2].get("x", "")) == pytest.approx(108)


class TestFiles:
    def test_one_file_for_each_model_and_data_set(self) -> None:
        found = plots.convergence_svg(results(initialisers=("default", "he"), datasets=("a", "b")))
        assert list(found) == ["convergence-zoo-cnn-a", "convergence-zoo-cnn-b"]
        for text in found.values():
            assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"

    def test_alike_names_do_not_overwrite_each_other(self) -> None:
        found = plots.convergence_svg(
            results(initialisers=("default",), models=("a",), datasets=("b", "b 2", "B", "b_2"))
        )
        assert len(found) == 4

    def test_a_reduced_profile_says_so(self) -> None:
        reduced = dataclasses.replace(
            results(initialisers=("default",)), reduced=True, profile="smoke"
        )
        assert all(
            "reduced profile smoke" in text for text in plots.convergence_svg(reduced).values()
        )

    def test_without_curves_there_are_none(self) -> None:
        assert plots.convergence_svg(results(curves=[])) == {}
