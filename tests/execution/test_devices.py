"""Devices are leased one slot a worker, and what is not there is refused by name."""

from __future__ import annotations

import pytest

from initbench.errors import UserError
from initbench.execution import devices


def test_on_a_cpu_there_is_one_slot_a_core_unless_told_otherwise() -> None:
    assert len(devices.slots("cpu", None)) == devices.cpu_count()
    assert len(devices.slots("cpu", 5)) == 5
    slot = devices.slots("cpu", 1)[0]
    assert slot.device == "cpu"
    assert slot.environment["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("name", ["abacus", "cuda:", "cuda:-1", "CPU", "cpu:0"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"expected `auto`, `cpu`, `cuda` or `cuda:N`"):
        devices.slots(name, None)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    import torch

    count: int = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    return count


@pytest.mark.parametrize("gpus", [0], indirect=True)
def test_without_a_gpu_cuda_is_refused_and_auto_takes_the_cpu(gpus: int) -> None:
    with pytest.raises(UserError, match="sees no GPU"):
        devices.slots("cuda", None)
    assert devices.slots("auto", 1)[0].device == "cpu"


@pytest.mark.parametrize("gpus", [2], indirect=True)
def test_every_worker_sees_one_gpu_and_they_are_shared_evenly(
    gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    leased = devices.slots("auto", None)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in leased] == ["0", "1"]
    assert {slot.device for slot in leased} == {"cuda"}
    assert [s.environment["CUDA_VISIBLE_DEVICES"] for s in devices.slots("cuda", 3)] == [
        "0",
        "1",
        "0",
    ]
    assert devices.slots("cuda:1", None)[0].environment["CUDA_VISIBLE_DEVICES"] == "1"
    with pytest.raises(UserError, match="`cuda:2` is not there"):
        devices.slots("cuda:2", None)


@pytest.mark.parametrize("gpus", [5], indirect=True)
def test_a_worker_sees_all_gpus_that_train_its_trials_together(
    gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    leased = devices.slots("cuda", None, devices_per_trial=2)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in leased] == ["0,1", "2,3"]
    assert {slot.devices for slot in leased} == {2}
    assert len(devices.slots("cuda", 3, devices_per_trial=2)) == 3
    with pytest.raises(UserError, match=r"trained on 6 GPUs, but `--device cuda` has 5; choose"):
        devices.slots("cuda", None, devices_per_trial=6)
    with pytest.raises(UserError, match=r"trained on 2 GPUs, but `--device cuda:1` has 1; choose"):
        devices.slots("cuda:1", None, devices_per_trial=2)


def test_on_a_cpu_cores_that_train_together_make_one_worker() -> None:
    cores = devices.cpu_count()
    assert len(devices.slots("cpu", None, devices_per_trial=cores)) == 1
    assert len(devices.slots("cpu", None, devices_per_trial=2 * cores)) == 1
    assert devices.slots("cpu", 3, devices_per_trial=2) == [devices.slots("cpu", 1, 2)[0]] * 3
    assert devices.slots("cpu", 1, devices_per_trial=2)[0].devices == 2


@pytest.mark.parametrize("gpus", [2], indirect=True)
def test_a_selection_of_gpus_made_outside_is_respected(
    gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa,GPU-bb")
    assert devices.slots("cuda:1", None)[0].environment["CUDA_VISIBLE_DEVICES"] == "GPU-bb"
