from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from initbench.training import cost, energy
from initbench.training.cost import Meter

GPU = torch.device("cuda", 1)


class NVML(SimpleNamespace):
    """A driver with two GPUs; the one asked about has a counter and some processes."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__(millijoules=5_000, processes=1, counts=True, started=0)

    def nvmlInit(self) -> None:  # noqa: N802
        self.started += 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != "GPU-cafe":
            raise self.NVMLError
        return "the second"

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[int]:  # noqa: N802
        assert handle == "the second"
        return list(range(self.processes))

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        if not self.counts:
            raise self.NVMLError
        return self.millijoules


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[NVML]:
    driver = NVML()
    monkeypatch.setitem(sys.modules, "pynvml", driver)  # type: ignore[arg-type]
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="cafe")
    )
    energy._counter.cache_clear()
    yield driver
    energy._counter.cache_clear()


def test_the_counter_of_the_right_device_is_read_in_joules(nvml: NVML) -> None:
    assert energy.joules(GPU) == 5.0
    nvml.millijoules += 250
    assert energy.joules(GPU) == 5.25
    assert nvml.started == 1


def test_a_device_that_is_shared_has_no_energy_of_its_own(nvml: NVML) -> None:
    nvml.processes = 2
    assert energy.joules(GPU) is None
    nvml.processes = 1
    assert energy.joules(GPU) is not None


def test_a_device_without_a_counter_has_none(nvml: NVML, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml.counts = False
    assert energy.joules(GPU) is None
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="unknown")
    )
    energy._counter.cache_clear()
    assert energy.joules(GPU) is None


def test_the_cpu_has_no_counter(nvml: NVML) -> None:
    assert energy.joules(torch.device("cpu")) is None
    assert nvml.started == 0


def test_without_the_library_there_is_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    energy._counter.cache_clear()
    assert energy.joules(GPU) is None
    energy._counter.cache_clear()


def metered(monkeypatch: pytest.MonkeyPatch, *readings: float | None) -> Any:
    """A CPU meter whose device says these joules, one after the other."""
    said = iter(readings)
    monkeypatch.setattr(cost, "joules", lambda device: next(said))
    return Meter(torch.device("cpu"))


def test_the_meter_takes_the_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    found = metered(monkeypatch, 10.0, 17.5).cost(images_seen=1, steps=1)
    assert found.energy_joules == 7.5
    assert found.exclusive


@pytest.mark.parametrize("readings", [(None, 17.5), (10.0, None), (None, None)])
def test_the_meter_knows_nothing_where_a_neighbour_was_seen(
    readings: tuple[float | None, float | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = metered(monkeypatch, *readings).cost(images_seen=1, steps=1)
    assert found.energy_joules is None
    assert not found.exclusive


@pytest.mark.parametrize(("earlier", "total"), [(2.0, 9.5), (None, None)])
def test_the_energy_of_earlier_attempts_is_added(
    earlier: float | None, total: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = metered(monkeypatch, 0.0, 0.0).cost(images_seen=1, steps=1)
    meter = metered(monkeypatch, 10.0, 17.5)
    meter.add(first.model_copy(update={"energy_joules": earlier}))
    assert meter.cost(images_seen=1, steps=1).energy_joules == total


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_counter_of_a_real_gpu_goes_up() -> None:
    pytest.importorskip("pynvml")
    device = torch.device("cuda", 0)
    before = energy.joules(device)
    if before is None:
        pytest.skip("the device has no counter, or is shared")
    matrix = torch.randn(4096, 4096, device=device)
    for _ in range(200):
        matrix = (matrix @ matrix).tanh()
    torch.cuda.synchronize(device)
    after = energy.joules(device)
    assert after is not None
    assert after > before
