"""Images corrupted by other processes are those of the catalogue, and no process stays behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from initbench.data.corruptions import catalogue
from initbench.data.corruptions.processes import Chunk, corrupt, corrupted_by_processes, draws_of
from initbench.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
CHUNKS = [Chunk(name, 3, k) for name in ("contrast", "gaussian_noise", "frost") for k in (0, 1)]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process that was started, in order."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def recorded(*arguments: Any, **words: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **words))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", recorded)
    return started


def wait_until_gone(pids: list[int]) -> None:
    """Wait for processes whose parent has died; a container may leave them as zombies."""
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "a server outlived its caller"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def images_of(chunk: Chunk) -> np.ndarray:
    return IMAGES[chunk.number * 4 :][:4]


def work() -> Iterator[tuple[Chunk, np.ndarray]]:
    return ((chunk, images_of(chunk)) for chunk in CHUNKS)


@pytest.mark.parametrize("processes", [1, 3])
def test_each_chunk_comes_back_corrupted_with_its_own_draws(
    processes: int, servers: list[subprocess.Popen[bytes]]
) -> None:
    results = dict(corrupted_by_processes(work(), processes))
    assert set(results) == set(CHUNKS)
    for chunk, pixels in results.items():
        expected = catalogue.corrupt(images_of(chunk), chunk.name, 3, draws_of(chunk))
        assert np.array_equal(pixels, expected)
    assert len(servers) == processes
    assert all(server.returncode is not None for server in servers)


@pytest.mark.parametrize("name", list(catalogue.CORRUPTIONS))
def test_the_layout_in_memory_does_not_matter(name: str) -> None:
    planes = IMAGES.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)
    chunk = Chunk(name, 2, 0)
    assert np.array_equal(corrupt(planes, chunk, ()), corrupt(IMAGES, chunk, ()))


def test_the_generator_of_a_chunk_is_seeded_with_the_digest_of_its_text() -> None:
    digest = hashlib.sha256(b"initbench/cifar10c/1/fog/5/39").digest()
    words = [int.from_bytes(digest[i : i + 4], "big") for i in range(0, 32, 4)]
    expected = np.random.RandomState(words).randint(2**31, size=4)
    draws = draws_of(Chunk("fog", 5, 39)).randint(2**31, size=4)
    assert np.array_equal(draws, expected)


def test_the_draws_of_a_chunk_never_change() -> None:
    draws = draws_of(Chunk("fog", 5, 39)).randint(2**31, size=3)
    assert draws.tolist() == [1449338566, 683075226, 1060634146]


def test_a_server_loads_no_torch() -> None:
    program = (
        "import sys, numpy, pathlib\n"
        "from initbench.data.corruptions.processes import Chunk, corrupt\n"
        "images = numpy.zeros((1, 32, 32, 3), numpy.uint8)\n"
        "from initbench.data.corruptions.catalogue import CORRUPTIONS\n"
        "for name in CORRUPTIONS: corrupt(images, Chunk(name, 5, 0), ())\n"
        "print(sorted({'torch', 'torchvision', 'sklearn', 'mlflow'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"


def test_closing_kills_every_process(servers: list[subprocess.Popen[bytes]]) -> None:
    results = corrupted_by_processes(work(), 2)
    next(results)
    results.close()
    assert [server.returncode for server in servers] == [-signal.SIGKILL] * 2


def test_a_killed_process_is_told_and_takes_the_others_along(
    servers: list[subprocess.Popen[bytes]],
) -> None:
    def endless() -> Iterator[tuple[Chunk, np.ndarray]]:
        for number in range(1_000_000):
            if number == 10:
                os.kill(servers[0].pid, signal.SIGKILL)
            yield Chunk("contrast", 1, number), IMAGES

    with pytest.raises(UserError, match=r"contrast, severity 1 was ended by SIGKILL.*run again"):
        for _ in corrupted_by_processes(endless(), 2):
            pass
    assert all(server.returncode == -signal.SIGKILL for server in servers)


def blue_photographs(folder: Path) -> list[Path]:
    paths = [folder / f"frost{number}.png" for number in range(1, 6)]
    for path in paths:
        Image.new("RGB", (300, 200), (0, 0, 200)).save(path)
    return paths


def test_a_bug_in_a_corruption_shows_its_traceback(tmp_path: Path) -> None:
    work = [(Chunk("frost", 9, number), IMAGES) for number in range(9)]  # severity 9 of 5
    with pytest.raises(RuntimeError, match=r"(?s)frost, severity 9 .*exit code 1.*IndexError"):
        list(corrupted_by_processes(work, 2, blue_photographs(tmp_path)))


def test_a_photograph_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "frost1.png"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError, match=r"frost1\.png: expected a photograph of frost"):
        list(corrupted_by_processes([(Chunk("frost", 1, 0), IMAGES)], 1, [path]))


def test_photographs_are_used_where_there_are_some(tmp_path: Path) -> None:
    dark = IMAGES // 4
    frosted = corrupt(dark, Chunk("frost", 1, 0), blue_photographs(tmp_path))
    change = frosted.astype(int) - dark
    assert change[..., :2].max() == 0
    assert (change[..., 2] == 40).all()  # a fifth of 200


def test_a_server_ends_with_its_input() -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "initbench.data.corruptions.processes"], stdin=subprocess.PIPE
    )
    assert server.stdin is not None
    server.stdin.close()
    assert server.wait(timeout=30) == 0


def test_servers_end_when_their_caller_is_killed() -> None:
    program = (
        "import os, subprocess, numpy\n"
        "from initbench.data.corruptions.processes import Chunk, corrupted_by_processes\n"
        "popen, pids = subprocess.Popen, []\n"
        "def recorded(*a, **k):\n"
        "    server = popen(*a, **k)\n"
        "    pids.append(server.pid)\n"
        "    return server\n"
        "subprocess.Popen = recorded\n"
        "images = numpy.zeros((50, 32, 32, 3), numpy.uint8)\n"
        "work = ((Chunk('contrast', 1, k), images) for k in range(10**9))\n"
        "next(corrupted_by_processes(work, 2))\n"
        "print(*pids, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    pids = [int(pid) for pid in result.stdout.split()]
    assert len(pids) == 2
    wait_until_gone(pids)
