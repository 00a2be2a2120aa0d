"""Progress of a run: what is said while trials are trained and networks are looked at."""

from __future__ import annotations

import pytest

from initbench.cli import progress
from initbench.cli.progress import RunProgress
from initbench.cli.terminal import Terminal
from initbench.store.artifact import StoredArtifact
from initbench.store.record import Cost, TrialStatus
from tests.factories import record

NOTHING = Cost(wall_seconds=0, device_seconds=0, peak_memory_bytes=0, images_seen=0, steps=0)


def observation(key: str) -> StoredArtifact:
    return StoredArtifact(
        key=key, kind="observation", identity={}, status=TrialStatus.DONE, cost=NOTHING,
        environment={},
    )  # fmt: skip


def lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], observations: int
) -> list[str]:
    monkeypatch.setattr(progress, "_LINE_EVERY_SECONDS", 0.0)
    trial = record(initialiser="he", seed=0, accuracy=0.9)
    labels = {trial.key: "he, seed 0"}
    with RunProgress(Terminal(), labels, 10.0, lambda _: None, observations) as shown:
        shown.committed(trial)
        for i in range(observations):
            shown.committed(observation(f"{i:064}"))
    return capsys.readouterr().err.splitlines()


def test_observations_are_counted_beside_the_trials(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = lines(monkeypatch, capsys, observations=2)
    assert shown[0].startswith("1/1 trials, 0/2 observations, ")
    assert shown[-1].startswith("1/1 trials, 2/2 observations, ")


def test_where_nothing_is_left_to_train_trials_are_not_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_SECONDS", 0.0)
    with RunProgress(Terminal(), {}, 0.0, lambda _: None, observations=2) as shown:
        shown.committed(observation("0" * 64))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("1/2 observations, ? left")


def test_without_observations_none_are_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all("observations" not in x for x in lines(monkeypatch, capsys, observations=0))
