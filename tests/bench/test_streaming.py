"""The simulated ImageNet is streamed for real, and its figures say what was done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from initbench.bench import streaming
from initbench.bench.streaming import OURS, THEIRS, streaming_figures
from initbench.errors import InitbenchError


def test_figures_say_what_was_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_GENERATED", 4)
    told: list[str] = []
    figures = streaming_figures(
        None,
        images_per_class=20,
        batches=2,
        batch_size=4,
        repeats=1,
        report=lambda what, done, total: told.append(f"{done}/{total} {what}"),
    )
    few, many = "ImageNet's layout, 2,000 training images", "ImageNet's layout, 20,000 training"
    assert [(figure.what, figure.side, figure.amount) for figure in figures] == [
        (f"{few}: list and fingerprint", OURS, 3000),
        (f"{few}: stream", OURS, 8),
        (f"{many} images: list and fingerprint", OURS, 21_000),
        (f"{many} images: stream", OURS, 8),
        (f"{many} images: batches", OURS, 8),
        (f"{many} images: batches", THEIRS, 8),
    ]
    assert all(figure.rate > 0 and "generated" in figure.note for figure in figures)
    if Path("/proc/self/status").exists():
        assert all("MB of memory" in figure.note for figure in figures[:4])
    assert told[-1] == "6/6 all steps"


def test_sides_that_differ_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_GENERATED", 2)
    monkeypatch.setattr(
        streaming, "CenterCrop", lambda size: lambda image: image.crop((0, 0, 224, 224))
    )
    photographs, _ = streaming._photographs(None, tmp_path / "photographs")
    streaming._link(tmp_path, photographs, 2)
    assert len(os.listdir(tmp_path / "imagenet" / "train")) == 1000
    with pytest.raises(InitbenchError, match="differs between initbench and torchvision"):
        list(streaming._compare("test", tmp_path, 1, 2, 1, ""))
