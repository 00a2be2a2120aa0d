"""What the scale of generated weights does to training with plain SGD."""

from __future__ import annotations

from typing import Any

from initbench.store.record import TrialStatus
from initbench.training.outcome import Member, Trained
from initbench.training.recipe import SGD, Recipe
from initbench.training.trainer import train
from tests.plugins.initbench_hyperfan.support import initialise, initialiser, mlp
from tests.training.networks import data

RECIPE = Recipe(optimiser=SGD(name="sgd", lr=0.001), epochs=20, batch_size=10)


def trained(name: str, **config: Any) -> Trained:
    network = mlp([60] * 5, "relu", size=6)
    initialise(network, initialiser(name, **config))
    (outcome,) = train([Member(network, 0)], data(train=200), RECIPE)
    return outcome


def test_hyperfan_trains_with_plain_sgd_where_kaiming_diverges_and_small_weights_do_not_begin() -> (
    None
):
    diverged = trained("hypernet_classical", scheme="kaiming_fan_in")
    assert diverged.status is TrialStatus.DIVERGED
    assert diverged.failure is not None
    assert "not finite" in diverged.failure.message
    for mode in ("in", "out"):
        outcome = trained("hyperfan", mode=mode)
        assert outcome.status is TrialStatus.DONE
        assert outcome.numbers["validation_accuracy.best"] > 0.9
    slow = trained("hypernet_small", std=0.001)
    assert slow.status is TrialStatus.DONE
    assert slow.numbers["validation_accuracy.best"] < 0.6
