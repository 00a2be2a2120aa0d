"""`initbench bench`: figures for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from initbench.bench import batches, corruptions, streaming
from initbench.bench.figure import Figure
from initbench.cli import run_command

FIGURES = [
    Figure("MNIST", "initbench", (0.5, 1.0), 1000, "images"),
    Figure("MNIST", "torchvision", (10.0, 10.0), 1000, "images", "generated"),
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What the benchmark was asked for; it answers with FIGURES."""
    monkeypatch.delenv("INITBENCH_DATA", raising=False)
    calls: list[tuple[object, ...]] = []

    def batch_figures(root, *, batch_size, repeats, images, report):  # type: ignore[no-untyped-def]
        calls.append((root, batch_size, repeats, images))
        report("MNIST", 0, 1)
        report("all tasks", 1, 1)
        return FIGURES

    monkeypatch.setattr(batches, "batch_figures", batch_figures)
    return calls


def test_speeds_and_speedups_are_printed_with_their_spread(
    asked: list[tuple[object, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["bench", "data"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "1/1 MNIST\n"
    table, _, sentences = captured.out.partition("MNIST: ")
    assert [line.split() for line in table.splitlines() if "MNIST" in line] == [
        ["MNIST", "initbench", "0.8", "s", "1,333", "1,000", "2,000", "images"],
        ["MNIST", "torchvision", "10.0", "s", "100", "100", "100", "images"],
    ]
    assert sentences.splitlines() == [
        "initbench is 15.0 times as fast as torchvision (10.0 to 20.0)",
        "note: MNIST: generated",
    ]
    assert asked == [(None, 128, 5, None)]


def test_json_holds_every_repetition_and_the_machine(
    asked: list[tuple[object, ...]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INITBENCH_DATA", "my-data")
    options = ["--batch-size", "64", "--repeats", "2", "--images", "999", "--format", "json"]
    assert run_command(["bench", "data", *options]) == 0
    assert asked == [(Path("my-data"), 64, 2, 999)]
    printed = json.loads(capsys.readouterr().out)
    assert printed["figures"][0] == {
        "what": "MNIST",
        "side": "initbench",
        "seconds": [0.5, 1.0],
        "amount": 1000,
        "unit": "images",
        "note": "",
        "rate": pytest.approx(1333.33, abs=0.01),
    }
    assert printed["speedups"] == [
        {
            "what": "MNIST",
            "side": "initbench",
            "against": "torchvision",
            "median": 15.0,
            "lowest": 10.0,
            "highest": 20.0,
        }
    ]
    assert "torch" in printed["machine"]


def test_a_choice_of_corruptions_is_timed_and_generated_images_are_mentioned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INITBENCH_DATA", raising=False)
    asked: list[object] = []

    def corruption_figures(images, names, *, report, **options):  # type: ignore[no-untyped-def]
        asked.extend([images.shape, names, options])
        return FIGURES[:1]

    monkeypatch.setattr(corruptions, "corruption_figures", corruption_figures)
    options = ["--only", "fog", "--only", "frost", "--images", "8", "--repeats", "2"]
    assert run_command(["bench", "corruptions", *options]) == 0
    assert asked == [(8, 32, 32, 3), ["frost", "fog"], {"workers": 2, "repeats": 2}]
    captured = capsys.readouterr()
    assert "warning: the images are generated, because: " in captured.err
    assert "times as fast" not in captured.out


def test_an_unknown_corruption_gets_the_closest_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["bench", "corruptions", "--only", "frog"]) == 2
    assert capsys.readouterr().err == (
        "error: unknown corruption `frog`; did you mean `fog` or `frost`?\n"
    )


def test_streaming_takes_its_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def streaming_figures(root, *, report, **options):  # type: ignore[no-untyped-def]
        asked.update(options)
        return FIGURES[:1]

    monkeypatch.setattr(streaming, "streaming_figures", streaming_figures)
    options = ["--images-per-class", "20", "--batches", "2", "--batch-size", "8", "--repeats", "1"]
    assert run_command(["bench", "streaming", *options]) == 0
    assert asked == {"images_per_class": 20, "batches": 2, "batch_size": 8, "repeats": 1}
    assert "MNIST" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--batch-size", "--repeats", "--images"])
def test_nothing_cannot_be_measured(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["bench", "data", option, "0"]) == 2
    assert option in capsys.readouterr().err
