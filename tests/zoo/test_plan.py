"""`zoo train` trains the very trials that a fit would ask for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from initbench.errors import UserError
from initbench.execution.run import execute, pending, resources
from initbench.plugin.registry import Registry
from initbench.plugin.sources import ZooSource
from initbench.store.record import TrialStatus
from initbench.store.store import Store
from initbench.zoo.plan import parse_epochs, plan_zoo, zoo_source
from initbench.zoo.stored import StoredZoo
from tests.zoo import worlds


class Silent:
    """Wants to know nothing."""

    def progress(self, progress: Any) -> None:
        pass

    def committed(self, outcome: Any) -> None:
        pass

    def waiting(self) -> None:
        pass


def source(**changes: Any) -> ZooSource:
    asked: dict[str, Any] = {
        "model": "zoo_cnn",
        "dataset": "digits",
        "recipe": "digits_quick",
        "initialiser": "he",
        "networks": 3,
        "first_seed": 1_000_000,
    }
    return zoo_source(Registry.installed(), **{**asked, **changes})


def test_a_suite_finds_the_zoo_that_was_trained_before(
    store: Store, zoo: StoredZoo, tmp_path: Path
) -> None:
    plan = worlds.suite_plan(tmp_path)
    assert set(plan.zoo_trials) == {record.key for record in zoo.records.values()}
    assert pending(plan, store).zoo_trials == {}


def test_a_fit_learns_from_the_kept_epochs_of_imported_and_trained_networks_alike(
    results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results, tmp_path / "results")
    plan = worlds.suite_plan(tmp_path)
    with Store(tmp_path / "results").lock("a test") as writer:
        before = set(writer.keys())
        execute(plan, writer, worlds.registry(), resources("cpu", 0), Silent())
        assert set(writer.keys()) == before | set(plan.trials)
        (key,) = plan.fittings
        artifact = writer.artifact(key)
        assert artifact is not None
        assert (artifact.status, artifact.failure) == (TrialStatus.DONE, None)
        assert artifact.description == {"networks": 5}


def test_settings_are_those_of_model_data_set_initialiser_and_recipe() -> None:
    settings = [
        "recipe.epochs=3",
        "recipe.evaluation.test_epochs=[1, 3]",
        "model.activation=gelu",
        "dataset.subset.train=100",
        "initialiser.mode=fan_out",
    ]
    asked = source(settings=settings, checkpoints="all")
    assert asked.model_config == {"activation": "gelu"}
    assert asked.dataset_config == {"subset": {"train": 100}}
    assert asked.initialiser_config == {"mode": "fan_out"}
    assert list(asked.checkpoints) == [0, 1, 2, 3]
    plan = plan_zoo(asked, Registry.installed(), worlds.identified)
    trial = next(iter(plan.trials.values()))
    assert trial.recipe["evaluation"]["kept_epochs"] == [0, 1, 2, 3]
    assert trial.recipe["evaluation"]["test_epochs"] == [1, 3]
    assert [t.seed for t in plan.trials.values()] == [1_000_000, 1_000_001, 1_000_002]


def test_what_a_recipe_keeps_and_what_is_asked_for_are_both_kept() -> None:
    asked = source(settings=["recipe.evaluation.kept_epochs=[0, 4]"], checkpoints="2,4")
    plan = plan_zoo(asked, Registry.installed(), worlds.identified)
    trial = next(iter(plan.trials.values()))
    assert trial.recipe["evaluation"]["kept_epochs"] == [0, 2, 4]


def test_a_zoo_without_checkpoints_has_the_keys_of_ordinary_trials() -> None:
    plan = plan_zoo(source(), Registry.installed(), worlds.identified)
    trial = next(iter(plan.trials.values()))
    assert "kept_epochs" not in trial.recipe["evaluation"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"settings": ["epochs=3"]}, "expected a setting of model, dataset, initialiser or recipe"),
        ({"settings": ["recipe=digits_quick"]}, "expected a setting of"),
        ({"settings": ["model.name=mlp"]}, "expected a setting of"),
        ({"settings": ["recipe.epoch=3"]}, "did you mean `epochs`"),
        ({"recipe": "digits_quik"}, "did you mean `digits_quick`"),
        ({"checkpoints": "0-11"}, "from 0 .before training. to 10"),
    ],
)
def test_wrong_settings_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(UserError, match=why):
        source(**changes)


def test_epochs_that_are_never_reached_are_refused() -> None:
    late = ZooSource(1, model="zoo_cnn", dataset="digits", recipe="digits_quick", checkpoints=[99])
    with pytest.raises(UserError, match="names epoch 99, but training ends after 10"):
        plan_zoo(late, Registry.installed(), worlds.identified)


@pytest.mark.parametrize(
    ("text", "epochs"),
    [("0", [0]), ("0-3", [0, 1, 2, 3]), ("5, 0-1,5", [0, 1, 5]), ("2-2", [2])],
)
def test_epochs_are_read(text: str, epochs: list[int]) -> None:
    assert parse_epochs(text, 5) == epochs


@pytest.mark.parametrize("text", ["", "x", "-1", "3-2", "0-6", "6", "1;2", "1,", "0-9999999"])
def test_what_are_no_epochs_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected epochs from 0"):
        parse_epochs(text, 5)
