from __future__ import annotations

import math

import pytest

from initbench.measures.device_seconds import DeviceSeconds
from initbench.measures.energy import Energy
from initbench.measures.spent import SpentConfig
from initbench.store.record import Cost, TrialStatus
from tests.factories import record


def cost(seconds: float, joules: float | None = None, *, stack_size: int = 1) -> Cost:
    return Cost(
        wall_seconds=9,
        device_seconds=seconds,
        peak_memory_bytes=0,
        images_seen=0,
        steps=0,
        stack_size=stack_size,
        exclusive=True,
        energy_joules=joules,
    )


DONE = record(cost=cost(12.0, 4000.0, stack_size=4), initialise_cost=cost(0.5, 500.0))
BEFORE = [cost(20.0, 6000.0), cost(40.0, 8000.0, stack_size=2)]


@pytest.mark.parametrize(
    ("config", "seconds", "kilojoules", "label"),
    [
        ({"include": "train"}, 3.0, 1.0, ".train"),
        ({}, 3.5 + 40.0, 1.5 + 10.0, ""),
        ({"trainings": 10}, 3.5 + 4.0, 1.5 + 1.0, ".trainings=10"),
    ],
)
def test_the_account_is_training_initialising_and_a_share_of_what_was_before(
    config: dict[str, object], seconds: float, kilojoules: float, label: str
) -> None:
    chosen = SpentConfig.model_validate(config)
    time, energy = DeviceSeconds(chosen), Energy(chosen)
    assert time.of_costs(DONE, BEFORE) == pytest.approx(seconds)
    assert energy.of_costs(DONE, BEFORE) == pytest.approx(kilojoules)
    assert (time.label(), energy.label()) == (f"device_seconds{label}", f"energy{label}")


def test_without_zoo_and_fit_there_is_no_share() -> None:
    assert DeviceSeconds(SpentConfig()).of_costs(DONE, []) == pytest.approx(3.5)


def test_what_is_not_known_gives_no_number() -> None:
    everything, training = SpentConfig(), SpentConfig(include="train")
    assert DeviceSeconds(everything).of_costs(DONE, None) is None
    assert DeviceSeconds(training).of_costs(DONE, None) == 3.0
    old = DONE.model_copy(update={"initialise_cost": None})
    assert DeviceSeconds(everything).of_costs(old, []) is None
    unmetered = [cost(20.0)]
    assert Energy(everything).of_costs(DONE, unmetered) is None
    assert Energy(training).of_costs(DONE.model_copy(update={"cost": cost(1.0)}), []) is None


@pytest.mark.parametrize("status", [TrialStatus.DIVERGED, TrialStatus.FAILED])
def test_rule_29_what_did_not_train_to_the_end_costs_infinitely_much(status: TrialStatus) -> None:
    bad = DONE.model_copy(update={"status": status})
    assert DeviceSeconds(SpentConfig()).of_costs(bad, BEFORE) == math.inf
    assert Energy(SpentConfig(include="train")).of_costs(bad, BEFORE) == math.inf


def test_readers_are_told_of_devices_that_were_shared() -> None:
    alone = record(cost=cost(1.0))
    assert DeviceSeconds(SpentConfig()).note([alone]) == ""
    assert "1 of 2 trials may have shared" in DeviceSeconds(SpentConfig()).note([alone, DONE])
