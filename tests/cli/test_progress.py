"""Progress of a run: what is said while trials are trained and networks are looked at."""

from __future__ import annotations

import pytest

from initbench.cli import progress
from initbench.cli.progress import RunProgress
from initbench.cli.terminal import Terminal
from initbench.execution.events import Progress
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


def test_the_time_left_follows_the_steps_and_is_unknown_where_the_estimate_is_used_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_SECONDS", 0.0)
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    trials = [record(initialiser="he", seed=seed, accuracy=0.9) for seed in (0, 1)]
    with RunProgress(Terminal(), {x.key: "he" for x in trials}, 60.0, lambda _: None) as shown:
        for seconds, trial, step in [
            (20, 0, None), (70, 0, None),  # a fit, which takes longer than was thought
            (100, 0, 4), (100, 1, 0),  # the first one goes on after a pause
            (110, 0, 6), (110, 1, 2), (150, 0, 10), (150, 1, 6),
        ]:  # fmt: skip
            now = float(seconds)
            if step is None:
                shown.waiting()
            else:
                shown.progress(Progress("job", trials[trial].key, step, 10, 0.5, 1.0))
        now = 200.0
        shown.committed(trials[0])
        shown.committed(trials[1])
    left = [line.split(", ")[1] for line in capsys.readouterr().err.splitlines()]
    assert left[:2] == ["0:40 left", "? left"]
    assert left[5] == "0:30 left"  # 0.4 of 2 trials in 10 seconds, 1.2 to go
    assert left[7] == "0:17 left"  # 1.2 in 50 seconds, 0.4 to go
    assert left[-1] == "0:00 left"


def test_a_trial_that_is_known_only_when_it_is_over_counts_from_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_SECONDS", 0.0)
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    trials = [record(initialiser="he", seed=seed, accuracy=0.9) for seed in range(3)]
    with RunProgress(Terminal(), {x.key: "he" for x in trials}, None, lambda _: None) as shown:
        now = 30.0
        shown.committed(trials[0])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split(", ")[1].startswith("1:00 left")
