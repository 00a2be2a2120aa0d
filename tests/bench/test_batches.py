"""Both sides of the benchmark deliver the same images, and both are timed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from initbench.bench import batches
from initbench.bench.batches import OURS, THEIRS, batch_figures
from initbench.errors import InitbenchError

TASKS = ["MNIST, normalised", "CIFAR-10, normalised", "CIFAR-10, cropped, flipped, normalised"]


def test_each_task_is_timed_on_both_sides_with_generated_images() -> None:
    threads = torch.get_num_threads()
    seen: list[str] = []
    figures = batch_figures(
        None, batch_size=16, repeats=2, images=40, report=lambda what, *_: seen.append(what)
    )
    assert [(figure.what, figure.side) for figure in figures] == [
        (what, side) for what in TASKS for side in (OURS, THEIRS)
    ]
    for figure in figures:
        assert len(figure.seconds) == 2
        assert figure.amount == 40
        assert figure.rate > 0
        assert "the images are generated, because: " in figure.note
    assert seen == [*TASKS, "all tasks"]
    assert torch.get_num_threads() == threads


@pytest.mark.skipif("INITBENCH_DATA" not in os.environ, reason="INITBENCH_DATA is not set")
def test_real_images_need_no_note() -> None:
    root = Path(os.environ["INITBENCH_DATA"])
    for folder in ("MNIST", "cifar-10-batches-py"):
        if not (root / folder).is_dir():
            pytest.skip(f"INITBENCH_DATA has no {folder}")
    figures = batch_figures(root, repeats=1, images=256)
    assert {figure.note for figure in figures} == {""}


@pytest.mark.parametrize("change", ["pixel", "label", "flip"])
def test_sides_that_differ_are_not_compared(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build = batches.torchvision_dataset

    def different(*arguments: Any) -> Any:
        dataset = build(*arguments)
        if change == "pixel":
            dataset.data = dataset.data.clone()
            dataset.data[3, 9, 9] += 1
        elif change == "label":
            dataset.targets = [*dataset.targets[:-1], -1]
        return dataset

    monkeypatch.setattr(batches, "torchvision_dataset", different)
    if change == "flip":
        monkeypatch.setattr(batches.vision, "hflip", lambda image: image)
    with pytest.raises(InitbenchError, match=r"image \d+ or its label differs"):
        batch_figures(None, repeats=1, images=8)
