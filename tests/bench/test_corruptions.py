"""The benchmark of corruptions times each alone, and all of them as files are really made."""

from __future__ import annotations

import numpy as np
import pytest

from initbench.bench.corruptions import corruption_figures

IMAGES = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)


def test_each_corruption_and_the_whole_have_a_figure() -> None:
    told: list[tuple[str, int, int]] = []
    *each, whole = corruption_figures(
        IMAGES, ["contrast", "pixelate"], repeats=2, report=lambda *news: told.append(news)
    )
    assert [figure.what for figure in each] == ["CIFAR-10-C, contrast", "CIFAR-10-C, pixelate"]
    for figure in each:
        assert (figure.amount, figure.unit, len(figure.seconds)) == (5 * 300, "images", 2)
        per_set = float(figure.note.split()[0])
        assert per_set == pytest.approx(10_000 / figure.rate, abs=0.005)
    assert (whole.amount, len(whole.seconds)) == (2 * 5 * 300, 1)
    assert whole.side == "initbench, 2 processes"
    minutes = float(whole.note.split()[0])
    assert minutes == pytest.approx(2 * 50_000 / whole.rate / 60, abs=0.05)
    assert [done for _, done, _ in told] == [0, 1, 2, 3]
    assert {total for _, _, total in told} == {3}
