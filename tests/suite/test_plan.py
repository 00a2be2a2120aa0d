"""Expansion: what a suite amounts to, and what of it remains to be done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from initbench.api import (
    Citation,
    Config,
    CoverageMap,
    Initialisation,
    Initialiser,
    Model,
    Scope,
    Source,
    Support,
    Target,
    ZooSource,
)
from initbench.data.identify import identify
from initbench.errors import PluginError, UserError
from initbench.plugin.discovery import Entry, discover
from initbench.plugin.registry import Registry
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite
from initbench.suite.plan import Plan

SUITE = """\
title: A suite
question: Which?
models: [zoo_cnn]
datasets: [digits]
initialisers: [default, he, {name: he, mode: fan_out, label: he out}]
recipe: digits_quick
seeds: 3
measures: [test_accuracy, {name: steps_to_threshold, threshold: 0.9}]
comparisons: {reference: default, margins: {steps_to_0.9: 10}}
"""


class _Learner(Initialiser[Config]):
    scope = Scope.LOCAL
    summary = "a test"
    citation = Citation("Nobody, 2026")
    version = "1"

    def initialise(self, network: Any, job: Initialisation) -> CoverageMap:
        raise AssertionError("expansion initialises nothing")


class Learner(_Learner):
    name = "learner"

    def sources(self, target: Target) -> tuple[Source, ...]:
        return (ZooSource(count=2, recipe={**target.recipe, "epochs": 1}),)


class LearnerOfLearners(_Learner):
    name = "learner_of_learners"

    def sources(self, target: Target) -> tuple[Source, ...]:
        return (ZooSource(count=2, initialiser="learner"),)


class Circular(_Learner):
    name = "circular"

    def sources(self, target: Target) -> tuple[Source, ...]:
        return (ZooSource(count=1, initialiser="circular"),)


class Rude(_Learner):
    name = "rude"

    def supports(self, anatomy: Any) -> Support:
        raise SystemExit("I quit")


class NeedsTraced(_Learner):
    name = "needs_traced"

    def supports(self, anatomy: Any) -> Support:
        return Support.yes() if anatomy.traced else Support.no("the network is not traced")


class LooksAtValues(Model[Config]):
    name = "looks_at_values"
    summary = "a test"
    citation = Citation("Nobody, 2026")
    licence = "MIT"
    version = "1"

    def build(self, channels: int, image_size: int, classes: int) -> Any:
        from torch import nn

        class Network(nn.Sequential):
            def forward(self, x: Any) -> Any:
                return super().forward(x if x.sum() < 1e9 else -x)

        inputs = channels * image_size**2
        return Network(nn.Flatten(), nn.Linear(inputs, 4), nn.Tanh(), nn.Linear(4, classes))


def registry() -> Registry:
    classes = [Learner, LearnerOfLearners, Circular, Rude, NeedsTraced]
    return Registry(
        [
            *discover(),
            *(
                Entry("initialiser", c.name, "test-learners", "1.0", f"{__name__}:{c.__name__}")
                for c in classes
            ),
            Entry("model", LooksAtValues.name, "test-models", "1.0", f"{__name__}:LooksAtValues"),
        ]
    )


def plan_of(folder: Path, text: str = SUITE, name: str = "suite", **options: Any) -> Plan:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return expand(
        load_suite(path, **options),
        registry(),
        lambda dataset, reference: identify(dataset, reference.tree(), None),
    )


def none(key: str) -> bool:
    return False


def every(key: str) -> bool:
    return True


def test_trials_come_seed_by_seed_so_that_an_interrupted_run_is_balanced(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    entries = [(entry.seed, entry.initialiser) for entry in plan.manifest.trials]
    assert entries == [(s, i) for s in range(3) for i in ("default", "he", "he out")]
    assert list(plan.trials) == [entry.key for entry in plan.manifest.trials]
    assert len(plan.data) == 1
    assert not plan.zoo_trials


def test_keys_do_not_depend_on_name_order_labels_or_selection(tmp_path: Path) -> None:
    everything = set(plan_of(tmp_path).trials)
    reordered = SUITE.replace(
        "[default, he, {name: he, mode: fan_out, label: he out}]",
        "[{name: he, mode: fan_out, distribution: normal, label: outwards}, default, he]",
    )
    assert set(plan_of(tmp_path, reordered, "other").trials) == everything
    assert set(plan_of(tmp_path, only=["initialiser=he"]).trials) < everything
    assert everything < set(plan_of(tmp_path, seeds=5).trials)


def test_the_complete_configuration_is_in_the_identity(tmp_path: Path) -> None:
    trial = next(iter(plan_of(tmp_path).trials.values()))
    assert trial.model.config["activation"] == "tanh"
    assert trial.recipe["optimiser"]["betas"] == [0.9, 0.999]
    assert trial.data.size == 28


def test_a_profile_that_scales_is_reduced_and_its_keys_are_those_of_the_scaled_recipe(
    tmp_path: Path,
) -> None:
    scaling = "profiles: {small: {recipe: {scale: 0.3, optimiser: {lr: 0.02}}}}\n"
    changed = SUITE.replace("recipe: digits_quick", "recipe: {name: digits_quick, epochs: 9}")
    plan = plan_of(tmp_path, changed + scaling, profile="small")
    assert plan.manifest.reduced
    recipe = next(iter(plan.trials.values())).recipe
    assert (recipe["epochs"], recipe["optimiser"]["lr"]) == (2, 0.02), "scaled after all changes"
    assert "scale" not in recipe
    in_place = "recipe: {name: digits_quick, epochs: 2, optimiser: {lr: 0.02}}"
    written_out = SUITE.replace("recipe: digits_quick", in_place)
    assert plan.trials.keys() == plan_of(tmp_path, written_out, "other").trials.keys()


def test_a_zoo_is_expanded_into_trials_that_others_can_share(tmp_path: Path) -> None:
    text = SUITE.replace("[default, he,", "[default, learner, learner_of_learners, he,")
    plan = plan_of(tmp_path, text)
    assert len(plan.trials) == 15
    # learner: 2 zoo trials. learner_of_learners: 2 more, started by a learner of its own target,
    # whose zoo is the first one again.
    assert len(plan.zoo_trials) == 4
    assert len(plan.fittings) == 2
    assert set(plan.manifest.zoos) == set(plan.fittings)
    seeds = {trial.seed for trial in plan.zoo_trials.values()}
    assert min(seeds) >= 1_000_000


def test_pending_is_pruned_from_the_leaves_up(tmp_path: Path) -> None:
    text = SUITE.replace("[default, he,", "[default, learner, he,")
    plan = plan_of(tmp_path, text)
    assert plan.pending(none, none, none) == plan
    finished = plan.pending(every, every, none)
    assert not finished.all_trials
    assert not finished.fittings
    assert not finished.data
    # The trials are missing, but the fitted state is there: its zoo is not needed any more.
    fitted = plan.pending(none, none, every)
    assert not fitted.zoo_trials
    assert not fitted.data
    assert len(fitted.trials) == len(plan.trials)
    # Only trials that learn nothing are missing: nothing needs to be fitted.
    plain = {key for key, trial in plan.trials.items() if trial.artifact is None}
    left = plan.pending(lambda key: key not in plain, none, none)
    assert set(left.trials) == plain
    assert not left.fittings
    assert len(left.data) == 1
    # A zoo trial whose weights are gone has to be trained again before anything learns from it.
    assert plan.pending(lambda key: key not in plan.trials, none, none).zoo_trials


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("zoo_cnn]", "zoo_cn]", "suite.yaml:3:", ["unknown model `zoo_cn`", "`zoo_cnn`"]),
        ("mode: fan_out", "mode: fan_ou", "suite.yaml:5:", ["fan_ou", "fan_out"]),
        ("seeds: 3", "seeds: 3\nprofiles: {x: {seeds: 0}}", "suite.yaml:8:", ["seeds"]),
        ("steps_to_0.9", "steps_to_0.8", "suite.yaml:9:", ["`steps_to_0.8`", "`steps_to_0.9`"]),
        ("default, he,", "default, rude,", "suite.yaml:5:", ["rude", "I quit"]),
        ("zoo_cnn]", "{name: zoo_cnn, dropout: 1}]", "suite.yaml:3:", ["dropout"]),
        ("zoo_cnn]", "torchvision/resnet81]", "suite.yaml:3:", ["`resnet81`", "`resnet18`"]),
        (
            "zoo_cnn]",
            "{name: convnext_base, image_size: 8}]",
            "suite.yaml:3:",
            ["at least 32 x 32 pixels, got 8 x 8"],
        ),
    ],
)
def test_what_cannot_be_resolved_is_named_with_its_place(
    tmp_path: Path, old: str, new: str, place: str, words: list[str]
) -> None:
    with pytest.raises((UserError, PluginError)) as caught:
        plan_of(tmp_path, SUITE.replace(old, new))
    assert place in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_network_that_torch_fx_cannot_see_through_is_traced_by_running_an_empty_image(
    tmp_path: Path,
) -> None:
    text = SUITE.replace("zoo_cnn", "looks_at_values").replace("default, he,", "needs_traced, he,")
    plan = plan_of(tmp_path, text.replace("reference: default", "reference: needs_traced"))
    assert {trial.model.name for trial in plan.trials.values()} == {"looks_at_values"}


def test_models_of_libraries_are_planned_at_their_own_size_or_the_one_asked_for(
    tmp_path: Path,
) -> None:
    names = "[torchvision/squeezenet1_1, {name: torchvision/squeezenet1_1, image_size: 32}]"
    plan = plan_of(tmp_path, SUITE.replace("[zoo_cnn]", names))
    labels = {trial.model for trial in plan.manifest.trials}
    assert labels == {"torchvision/squeezenet1_1", "torchvision/squeezenet1_1(image_size=32)"}
    assert {data.size for data in plan.data.values()} == {224, 32}


def test_a_cycle_of_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cycle"):
        plan_of(tmp_path, SUITE.replace("[default, he,", "[default, circular, he,"))


def test_expansion_leaves_the_random_state_alone(tmp_path: Path) -> None:
    import torch

    before = torch.get_rng_state()
    plan_of(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_manifest_says_what_readers_need(tmp_path: Path) -> None:
    manifest = plan_of(tmp_path).manifest
    notes: Mapping[str, Any] = {note.label: note for note in manifest.initialisers}
    assert notes["he out"].config["mode"] == "fan_out"
    assert "He" in notes["he"].citation
    assert notes["he"].distribution == "initbench"
    assert [measure.label for measure in manifest.measures] == ["test_accuracy", "steps_to_0.9"]
    assert manifest.margins == {"steps_to_0.9": 10}


def test_what_another_package_would_bring_is_left_out_and_the_rest_is_planned(
    tmp_path: Path,
) -> None:
    absent = SUITE.replace("[default, he,", "[default, {name: nobody, plugin: initbench-no}, he,")
    plan = plan_of(tmp_path, absent)
    assert {entry.initialiser for entry in plan.manifest.trials} == {"default", "he", "he out"}
    assert plan.manifest.not_installed == {
        "nobody": "initbench-no is not installed: `python -m pip install initbench-no`"
    }
    assert set(plan.trials) == set(plan_of(tmp_path).trials), "the package is in no key"


def test_an_installed_package_without_the_initialiser_is_to_be_upgraded(tmp_path: Path) -> None:
    absent = SUITE.replace("[default, he,", "[default, {name: nobody, plugin: pluggy}, he,")
    how = plan_of(tmp_path, absent).manifest.not_installed["nobody"]
    assert how.startswith("pluggy ")
    assert "--upgrade pluggy" in how


def test_what_needs_a_file_that_is_not_there_is_left_out_and_says_how_to_get_it(
    tmp_path: Path,
) -> None:
    absent = SUITE.replace("[default, he,", "[default, {name: ghn2, plugin: initbench}, he,")
    plan = plan_of(tmp_path, absent)
    assert {entry.initialiser for entry in plan.manifest.trials} == {"default", "he", "he out"}
    assert "no checkpoint `ghn2_imagenet.pt`" in plan.manifest.not_installed["ghn2"]
    asked = SUITE.replace("[default, he,", "[default, ghn2, he,")
    with pytest.raises(UserError, match=r"`ghn2` does not support model .*no checkpoint"):
        plan_of(tmp_path, asked)


@pytest.mark.parametrize("choice", ["nobody", "{name: nobody, plugin: initbench-no}"])
def test_a_suite_of_which_no_initialiser_is_there_is_refused(tmp_path: Path, choice: str) -> None:
    text = SUITE.replace("[default, he, {name: he, mode: fan_out, label: he out}]", f"[{choice}]")
    text = text.replace("reference: default", "reference: nobody")
    with pytest.raises(UserError, match="nobody"):
        plan_of(tmp_path, text)


def test_data_sets_and_models_may_have_recipes_of_their_own(tmp_path: Path) -> None:
    text = SUITE.replace("models: [zoo_cnn]", "models: [zoo_cnn, {name: mlp, recipe: {epochs: 4}}]")
    text = text.replace(
        "datasets: [digits]",
        "datasets: [digits, {name: digits, label: again, recipe: {name: harder2023_pcam_small, "
        "batch_size: 64}}]",
    )
    plan = plan_of(tmp_path, text.replace("recipe: digits_quick", "recipe: {name: digits_quick}"))
    found = {}
    for entry in plan.manifest.trials:
        recipe = plan.trials[entry.key].recipe
        found[entry.model, entry.dataset] = (
            recipe["optimiser"]["name"],
            recipe["epochs"],
            recipe["batch_size"],
        )
    assert found == {
        ("zoo_cnn", "digits"): ("adam", 10, 32),
        ("mlp", "digits"): ("adam", 4, 32),
        ("zoo_cnn", "again"): ("sgd", 40, 64),
        ("mlp", "again"): ("sgd", 4, 64),
    }


def test_the_scale_of_a_profile_shortens_recipes_of_data_sets_too(tmp_path: Path) -> None:
    text = SUITE.replace(
        "[digits]", "[digits, {name: digits, label: again, recipe: harder2023_pcam_small}]"
    )
    profile = "profiles: {small: {recipe: {scale: 0.5}}}\n"
    text = text.replace("recipe: digits_quick", "recipe: {name: digits_quick}")
    plan = plan_of(tmp_path, text + profile, profile="small")
    epochs = {e.dataset: plan.trials[e.key].recipe["epochs"] for e in plan.manifest.trials}
    assert epochs == {"digits": 5, "again": 20}


def test_a_measure_is_taken_only_where_the_suite_says_so(tmp_path: Path) -> None:
    text = SUITE.replace("datasets: [digits]", "datasets: [digits, {name: digits, label: again}]")
    text = text.replace("threshold: 0.9}", "threshold: 0.9, only_on: [again]}")
    measures = {m.label: m for m in plan_of(tmp_path, text).manifest.measures}
    assert measures["test_accuracy"].taken_on("digits")
    assert not measures["steps_to_0.9"].taken_on("digits")
    assert measures["steps_to_0.9"].taken_on("again")
    assert "only_on" not in measures["steps_to_0.9"].config


def test_a_measure_on_a_data_set_that_is_not_there_is_refused_in_its_place(tmp_path: Path) -> None:
    text = SUITE.replace("threshold: 0.9}", "threshold: 0.9, only_on: [digit]}")
    with pytest.raises(UserError, match=r"suite\.yaml:8.*no data set has the label `digit`"):
        plan_of(tmp_path, text)


def test_models_and_initialisers_may_be_meant_for_some_data_sets_only(tmp_path: Path) -> None:
    text = SUITE.replace("datasets: [digits]", "datasets: [digits, {name: digits, label: again}]")
    text = text.replace("[zoo_cnn]", "[zoo_cnn, {name: mlp, only_on: [again]}]")
    text = text.replace(
        "{name: he, mode: fan_out, label: he out}",
        "{name: he, mode: fan_out, label: here, only_on: [digits]}, "
        "{name: he, gain: relu, label: here, only_on: [again]}",
    )
    plan = plan_of(tmp_path, text)
    blocks = {(entry.model, entry.dataset) for entry in plan.manifest.trials}
    assert blocks == {("zoo_cnn", "digits"), ("zoo_cnn", "again"), ("mlp", "again")}
    meant = {
        (entry.dataset, str(plan.trials[entry.key].initialiser.config["gain"]))
        for entry in plan.manifest.trials
        if entry.initialiser == "here"
    }
    assert meant == {("digits", "auto"), ("again", "relu")}


def test_one_label_for_two_things_on_one_data_set_is_refused(tmp_path: Path) -> None:
    text = SUITE.replace(
        "{name: he, mode: fan_out, label: he out}",
        "{name: he, mode: fan_out, label: x, only_on: [digits]}, {name: he, gain: relu, label: x}",
    )
    with pytest.raises(UserError, match="the label `x` is taken"):
        plan_of(tmp_path, text)


REGRESSION = """\
title: A regression
question: Which?
models: [mlp]
datasets: [chang2020_regression]
initialisers: [xavier, {name: he, own_recipe: {optimiser: {lr: 0.02}}}]
recipe: {optimiser: {name: sgd, lr: 0.01}, epochs: 2, batch_size: 30}
seeds: 2
measures: [test_loss, train_loss, failure_rate, weight_norm]
comparisons: {reference: xavier}
"""


def test_an_initialiser_may_have_a_recipe_of_its_own(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, REGRESSION)
    rates = {
        (plan.trials[entry.key].recipe["optimiser"]["lr"], entry.initialiser)
        for entry in plan.manifest.trials
    }
    assert rates == {(0.01, "xavier"), (0.02, "he")}
    noted = {note.label: note.own_recipe for note in plan.manifest.initialisers}
    assert noted == {"xavier": {}, "he": {"optimiser": {"lr": 0.02}}}


def test_its_recipe_is_checked_at_its_place(tmp_path: Path) -> None:
    wrong = REGRESSION.replace("{optimiser: {lr: 0.02}}", "{optimiser: {lr: fast}}")
    with pytest.raises(UserError, match=r"suite.yaml:5:.*lr"):
        plan_of(tmp_path, wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("[test_loss,", "[test_accuracy,"),
            r":8:12: .*`test_accuracy` needs classes.*`test_loss`",
        ),
        (("[test_loss,", "[{name: test_loss, task: 2},"), r"trains no tasks one after another"),
        (("batch_size: 30", "batch_size: 30, label_smoothing: 0.1"), r"`label_smoothing` is for"),
        (("batch_size: 30", "batch_size: 30, augmentation: {flip: true}"), r"`augmentation` is"),
        (
            ("batch_size: 30", "batch_size: 30, continual: {tasks: 2}"),
            r"`continual` has 2 tasks, but `chang2020_regression` has 3",
        ),
    ],
)
def test_what_a_regression_cannot_have_is_refused(
    change: tuple[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        plan_of(tmp_path, REGRESSION.replace(*change))
