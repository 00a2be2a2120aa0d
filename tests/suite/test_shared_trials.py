"""Suites of one paper share their trials: what one trained, the others only look at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from initbench.data.identify import identify
from initbench.plugin.registry import Registry
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite


def trials_of(suite: str, profile: str) -> set[str]:
    root = Path(os.environ["INITBENCH_DATA"])
    # Corrupted images, which are made where they are missing, matter to measures only.
    changes = ["measures=[test_accuracy]", "comparisons={reference: he}"]
    plan = expand(
        load_suite(suite, profile=profile, overrides=changes),
        Registry.installed(),
        lambda dataset, reference: identify(dataset, reference.tree(), root),
    )
    return set(plan.trials)


@pytest.mark.skipif("INITBENCH_DATA" not in os.environ, reason="INITBENCH_DATA is not set")
@pytest.mark.parametrize("profile", ["laptop", "smoke"])
def test_ensembles_and_similarity_train_nothing_new(profile: str) -> None:
    trained = trials_of("convergence_accuracy", profile)
    for suite in ("ood_ensembles", "similarity"):
        looked_at = trials_of(suite, profile)
        assert looked_at
        assert looked_at <= trained  # those of initialisers that take long to fit may be left out
