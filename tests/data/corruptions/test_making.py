"""Making CIFAR-10-C: the bytes depend on the images only, through kills, Ctrl-C and rivals."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from initbench.data.corruptions import catalogue, making, processes
from initbench.data.corruptions.making import CHUNK, SEVERITIES, made_in, make_corrupted
from initbench.data.corruptions.partial import PartialArray
from initbench.data.corruptions.processes import Chunk, draws_of
from initbench.errors import UserError
from tests.data.corruptions.test_partial import killed_at
from tests.data.corruptions.test_processes import blue_photographs, wait_until_gone

COUNT = 2 * CHUNK + 20  # the last chunk is short
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)
LABELS = np.arange(COUNT) * 7 % 10
NAMES = ["contrast", "gaussian_noise"]
TOTAL = len(NAMES) * SEVERITIES * COUNT
CHUNKS = len(NAMES) * SEVERITIES * 3


def make(folder: Path, names: list[str] = NAMES, **options: Any) -> None:
    make_corrupted(IMAGES, LABELS, folder, names, **{"workers": 2, **options})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".npy"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both files, made without any trouble."""
    folder = tmp_path_factory.mktemp("made") / "cifar10c-regen"
    make(folder)
    return folder


def child(folder: Path, what: str, **words: Any) -> subprocess.Popen[str]:
    """Make the same files in a process of its own that does `what` when it reports."""
    program = f"""
import os, signal, subprocess, sys
from pathlib import Path
from tests.data.corruptions.test_making import *
popen = subprocess.Popen
def recorded(*a, **k):
    server = popen(*a, **k)
    print(server.pid, flush=True)
    return server
subprocess.Popen = recorded
calls = 0
def report(text, done, total):
    global calls
    calls += 1
    {what}
make(Path(sys.argv[1]), report=report)
"""
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        **words,
    )


def test_rows_are_severities_and_chunks_have_draws_of_their_own(finished: Path) -> None:
    for name in NAMES:
        array = np.load(finished / f"{name}.npy", allow_pickle=False)
        assert array.shape == (SEVERITIES * COUNT, 32, 32, 3)
        assert array.dtype == np.uint8
        for severity in range(1, SEVERITIES + 1):
            expected = [
                catalogue.corrupt(
                    IMAGES[start : start + CHUNK],
                    name,
                    severity,
                    draws_of(Chunk(name, severity, start // CHUNK)),
                )
                for start in range(0, COUNT, CHUNK)
            ]
            rows = array[(severity - 1) * COUNT : severity * COUNT]
            assert np.array_equal(rows, np.concatenate(expected))


def test_labels_are_tiled(finished: Path) -> None:
    labels = np.load(finished / "labels.npy", allow_pickle=False)
    assert labels.dtype == np.uint8
    assert np.array_equal(labels.reshape(SEVERITIES, COUNT), [LABELS] * SEVERITIES)


def test_bytes_depend_neither_on_processes_nor_on_order(finished: Path, tmp_path: Path) -> None:
    make(tmp_path, NAMES[::-1], workers=1)
    assert contents(tmp_path) == contents(finished)


def test_nothing_but_the_files_their_description_and_the_lock_is_left(finished: Path) -> None:
    left = {path.name for path in finished.iterdir()}
    assert left == {"contrast.npy", "gaussian_noise.npy", "labels.npy", "made.json", ".lock"}


def test_the_description_says_from_what_and_with_what(finished: Path) -> None:
    made = made_in(finished)
    assert made is not None
    sha = hashlib.sha256(bytes(LABELS.tolist()) + IMAGES.tobytes())
    assert (made.images, made.source) == (COUNT, sha.hexdigest())
    assert made.protocol in made.seeds
    for name in NAMES:
        file, array = made.files[name], np.load(finished / f"{name}.npy")
        assert file.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
        last = array[4 * COUNT :].tobytes()
        assert file.severities[4] == hashlib.sha256(last).hexdigest()
        assert set(file.made_with) == {"numpy", "scipy", "pillow", "jpeg"}
        assert file.made_with["numpy"] == np.__version__
        assert file.photographs is None


def test_what_is_there_is_left_alone(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.iterdir()}
    monkeypatch.setattr(making, "corrupted_by_processes", None)
    make(finished)
    assert {path: path.stat().st_mtime_ns for path in finished.iterdir()} == before


def test_a_file_that_was_deleted_is_made_again(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    (folder / "contrast.npy").unlink()
    make(folder)
    assert contents(folder) == contents(finished)


def test_progress_counts_images_up_to_the_total(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    make(tmp_path, report=lambda *news: told.append(news))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1:] == (TOTAL, TOTAL)
    assert {what for what, _, _ in told} == {
        f"{name}, severity {s}" for name in NAMES for s in range(1, 6)
    }


def test_photographs_of_frost_are_described(tmp_path: Path) -> None:
    photographs = blue_photographs(tmp_path)
    make(tmp_path / "real", ["frost"], photographs=photographs)
    make(tmp_path / "drawn", ["frost"])
    real, drawn = made_in(tmp_path / "real"), made_in(tmp_path / "drawn")
    assert real is not None
    assert drawn is not None
    assert real.files["frost"].photographs == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in photographs
    }
    assert drawn.files["frost"].photographs is None
    assert contents(tmp_path / "real")["frost.npy"] != contents(tmp_path / "drawn")["frost.npy"]


# --- interruptions ------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [1, 14, 15, 30])
def test_after_a_kill_the_next_call_finishes_with_the_same_bytes(
    calls: int, tmp_path: Path, finished: Path
) -> None:
    process = child(tmp_path, f"if calls == {calls}: os.kill(os.getpid(), signal.SIGKILL)")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    wait_until_gone([int(pid) for pid in output.split()])
    told: list[int] = []
    make(tmp_path, report=lambda _, done, __: told.append(done))
    assert contents(tmp_path) == contents(finished)
    assert len(told) <= CHUNKS - calls  # each report came after a chunk was on disk


def test_a_kill_at_any_step_of_beginning_and_finishing_does_no_harm(
    tmp_path: Path, finished: Path
) -> None:
    def one(folder: Path) -> None:
        make(folder, ["contrast"], workers=1)

    last = 39  # syncs: labels 2, begin 4, 15 chunks twice, description 2, rename 1
    for step in (1, 2, 3, last - 3, last - 2, last - 1, last):
        folder = tmp_path / str(step)
        assert killed_at(step, lambda folder=folder: one(folder))  # type: ignore[misc]
        one(folder)
        assert contents(folder)["contrast.npy"] == contents(finished)["contrast.npy"]
        assert {path.name for path in folder.iterdir()} == {
            "contrast.npy",
            "labels.npy",
            "made.json",
            ".lock",
        }
    assert not killed_at(last + 1, lambda: one(tmp_path / "all"))


def test_ctrl_c_stops_at_once_and_leaves_no_process(tmp_path: Path, finished: Path) -> None:
    process = child(
        tmp_path,
        "calls == 5 and os.killpg(0, signal.SIGINT)",
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    output, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1
    for pid in output.split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)
    make(tmp_path)
    assert contents(tmp_path) == contents(finished)


def test_a_half_finished_file_of_other_libraries_is_begun_anew(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(making, "versions", lambda: {"numpy": "1.0"})
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, report=stop)
    part = tmp_path / "contrast.npy.part"
    part.write_bytes(b"\xff" * part.stat().st_size)
    make(tmp_path)
    assert contents(tmp_path) == contents(finished)


def test_the_second_of_two_makers_waits_and_finds_everything_done(
    tmp_path: Path, finished: Path
) -> None:
    told: list[str] = []
    started = threading.Event()

    def slow(what: str, done: int, total: int) -> None:
        started.set()
        time.sleep(0.02)

    first = threading.Thread(target=make, args=(tmp_path,), kwargs={"report": slow})
    first.start()
    started.wait(30)
    make(tmp_path, report=lambda what, *_: told.append(what))
    first.join()
    assert len(told) == 1
    assert "waiting for another process" in told[0]
    assert contents(tmp_path) == contents(finished)


# --- wrong input --------------------------------------------------------------------------------


def test_files_of_other_images_are_not_mixed(finished: Path) -> None:
    before = contents(finished)
    with pytest.raises(UserError, match=r"made from other test images: expected .*, got .*; "):
        make_corrupted(255 - IMAGES, LABELS, finished, ["brightness"])
    with pytest.raises(UserError, match="made from other test images"):
        make_corrupted(IMAGES, 9 - LABELS, finished, NAMES)
    assert contents(finished) == before


def test_a_file_from_elsewhere_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "contrast.npy", IMAGES)
    with pytest.raises(UserError, match=r"contrast\.npy` was not made here.*CIFAR-10-C"):
        make(tmp_path)


def test_labels_from_elsewhere_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", LABELS.astype(np.uint8))
    with pytest.raises(UserError, match=r"labels\.npy` does not hold the labels of these"):
        make(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "initbench/cifar10c/0"}, r"another version.*expected .*got `initbench/.*/0`"),
        ({"images": "many"}, "damaged or of another version"),
        ({"surprise": 1}, "damaged or of another version"),
    ],
)
def test_a_description_that_is_not_understood_is_refused(
    change: dict[str, Any], message: str, finished: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    path = folder / "made.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=message):
        make(folder)


def test_too_little_space_is_noticed_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(UserError, match=r"no space to make 2 corruptions .*expected 0\.0 GB"):
        make(tmp_path)
    assert contents(tmp_path) == {}


def test_a_disk_that_fills_up_says_so_and_keeps_what_was_finished(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = PartialArray.write, 0

    def write(part: PartialArray, row: int, piece: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(part, row, piece)

    with monkeypatch.context() as patch:
        patch.setattr(PartialArray, "write", write)
        with pytest.raises(UserError, match=r"no space left to make files in .*run again"):
            make(tmp_path)
    told: list[int] = []
    make(tmp_path, report=lambda _, done, __: told.append(done))
    assert told[0] >= 5 * 20
    assert len(told) == CHUNKS - 4
    assert contents(tmp_path) == contents(finished)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot make files in .*file/made.*CIFAR-10-C"):
        make(tmp_path / "file" / "made")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match=r"cannot make files in .*Permission denied"):
        make(tmp_path / "made")


def test_a_finished_folder_is_never_written(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "_locked", None)
    monkeypatch.setattr(processes, "corrupted_by_processes", None)
    make(finished)
