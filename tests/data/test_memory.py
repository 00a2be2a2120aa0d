"""What a data set needs is known beforehand, and one that does not fit is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from initbench.data import memory
from initbench.data.dataset import SplitName
from initbench.data.memory import (
    available_bytes,
    check_preparing,
    check_resident,
    preparing_bytes,
    resident_bytes,
)
from initbench.data.resident import ResidentData
from initbench.errors import UserError
from tests.training.networks import splits

GB = 10**9
SIZES: dict[SplitName, int] = {"train": 45_000, "validation": 5_000, "test": 10_000}


def test_resident_bytes_are_those_of_the_tensors() -> None:
    data = ResidentData.of(splits(channels=2))
    parts = {name: getattr(data, name) for name in ("train", "validation", "test")}
    held = sum(tensor.nbytes for split in parts.values() for tensor in vars(split).values())
    sizes: dict[SplitName, int] = {name: len(split) for name, split in parts.items()}
    assert resident_bytes(sizes, 2, data.train.images.shape[-1]) == held


@pytest.mark.parametrize(
    ("native_size", "size", "expected"),
    [
        (32, 28, 3 * 60_000 * (3 * 28 * 28 + 16)),  # storing
        (96, 32, 2 * 60_000 * (3 * 96 * 96 + 16)),  # reading
    ],
)
def test_preparing_peaks_where_the_largest_step_is(
    native_size: int, size: int, expected: int
) -> None:
    assert preparing_bytes(SIZES, 3, native_size, size) == expected + memory.WORKING_BYTES


PREPARING = """
import sys
from pathlib import Path

import torch

from initbench.data.dataset import DataSet, ImageSplits, Split
from initbench.data.memory import preparing_bytes
from initbench.data.prepared import prepare, to_tensors
from initbench.plugin.initialiser import Citation, Config
from initbench.store.blobs import encode

SIZES = {"train": 40_000, "validation": 5_000, "test": 5_000}


class Noise(DataSet[Config]):
    name = summary = licence = "noise"
    citation = Citation("none", "https://example.org")
    classes, channels, native_size = 10, 3, 32

    def load(self, root):
        count = sum(SIZES.values())
        images = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8)
        labels = torch.randint(10, (count,))
        parts = torch.randperm(count).split(list(SIZES.values()))
        cut = [Split(images[ids], labels[ids], ids) for ids in parts]
        return ImageSplits(*cut, 10, (0.0,) * 3, (1.0,) * 3)


def peak():  # not `ru_maxrss`, which begins with that of the parent
    status = Path("/proc/self/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) * 1024


size = int(sys.argv[1])
encode({"anything": torch.zeros(1)})  # imports what it needs
before = peak()
encode(to_tensors(prepare(Noise(Config()), size, None))[0])
print((peak() - before) / preparing_bytes(SIZES, 3, 32, size))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
@pytest.mark.parametrize("size", [32, 16])
def test_preparing_takes_what_was_foretold(size: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PREPARING, str(size)], capture_output=True, text=True, check=True
    )
    assert 0.6 < float(done.stdout) < 1


def test_what_fits_is_not_refused() -> None:
    check_resident("cifar10", 2 * GB, 4 * GB, copies=2)
    check_preparing("cifar10", 2 * GB, 2 * GB)


def test_what_nobody_knows_is_not_refused() -> None:
    check_resident("cifar10", 2 * GB, None)
    check_preparing("cifar10", 2 * GB, None)


def test_too_many_copies_are_refused_with_how_many_would_fit() -> None:
    with pytest.raises(UserError) as error:
        check_resident("cifar10", 2 * GB, 7 * GB, copies=4)
    assert str(error.value) == (
        "data set `cifar10` needs 8.00 GB of memory (4 workers with 2.00 GB each), but only "
        "7.00 GB are available; use `--workers 3`"
    )


def test_one_copy_too_large_is_refused_with_what_to_do() -> None:
    with pytest.raises(UserError) as error:
        check_resident("imagenet", 250 * GB, 16 * GB, copies=2)
    assert str(error.value) == (
        "data set `imagenet` needs 500.00 GB of memory (2 workers with 250.00 GB each), but only "
        "16.00 GB are available; choose a smaller image size or a subset, or a machine with more "
        "memory"
    )


def test_preparing_that_takes_too_much_is_refused() -> None:
    with pytest.raises(UserError, match=r"`pcam` needs 18\.00 GB of memory while it is prepared"):
        check_preparing("pcam", 18 * GB, 16 * GB)


# --- what is available --------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 GB free and no limits."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")
    write(tmp_path / "proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable:    8000000 kB\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_limits_it_is_what_the_system_says(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "0::/\n")
    assert available_bytes("cpu") == 8_000_000 * 1024


def test_a_limit_on_any_group_around_this_process_counts(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "0::/jobs/7/step\n")
    for group, limit, usage, cached in (
        ("jobs/7/step", "max", 1 * GB, 0),
        ("jobs/7", str(4 * GB), 2 * GB, GB // 2),
        ("jobs", str(100 * GB), 2 * GB, 0),
    ):
        folder = machine / "cgroup" / group
        write(folder / "memory.max", f"{limit}\n")
        write(folder / "memory.current", f"{usage}\n")
        write(folder / "memory.stat", f"anon 5\ninactive_file {cached}\n")
    assert available_bytes("cpu") == 4 * GB - 2 * GB + GB // 2


def test_a_container_of_the_first_version_counts_though_its_path_is_the_hosts(
    machine: Path,
) -> None:
    write(machine / "proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/0abc\n0::/\n")
    folder = machine / "cgroup/memory"
    write(folder / "memory.limit_in_bytes", f"{3 * GB}\n")
    write(folder / "memory.usage_in_bytes", f"{1 * GB}\n")
    write(folder / "memory.stat", "inactive_file 9\ntotal_inactive_file 7\n")
    assert available_bytes("cpu") == 2 * GB + 7


def test_a_group_over_its_limit_leaves_nothing(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "0::/\n")
    write(machine / "cgroup/memory.max", f"{1 * GB}\n")
    write(machine / "cgroup/memory.current", f"{2 * GB}\n")
    assert available_bytes("cpu") == 0


def test_a_system_that_does_not_say_is_taken_at_its_size(machine: Path) -> None:
    (machine / "proc/meminfo").unlink()
    available = available_bytes("cpu")
    assert available is not None
    assert available > GB // 8


def test_this_machine_has_some_memory() -> None:
    available = available_bytes("cpu")
    assert available is not None
    assert GB // 8 < available < 10**15


@pytest.mark.gpu
def test_a_gpu_has_some_memory() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    available = available_bytes("cuda")
    assert available is not None
    assert GB // 8 < available <= torch.cuda.get_device_properties(0).total_memory
