"""Links: a suite says which published experiment it repeats, and slips are found in its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from initbench.errors import UserError
from initbench.published.links import Links
from initbench.published.table import published_table
from initbench.store.manifest import MeasureNote, PublishedNote
from initbench.suite.find import bundled_suites
from initbench.suite.load import load_suite

SUITE = """\
title: A small suite
question: Do these differ?
models: [{name: zoo_cnn, label: resnet20}]
datasets: [digits]
initialisers: [default, he]
recipe: digits_quick
seeds: 2
measures: [test_accuracy]
comparisons: {reference: default}
profiles:
  other: {datasets: [mnist]}
"""


def load(tmp_path: Path, published: str):
    path = tmp_path / "small.yaml"
    path.write_text(SUITE + published)
    return load_suite(path)


def test_a_name_alone_is_an_experiment(tmp_path: Path) -> None:
    suite = load(tmp_path, "published: [accuracy]\n").suite
    assert [(link.experiment, link.only) for link in suite.published] == [("accuracy", {})]


def test_a_label_of_a_profile_may_be_named(tmp_path: Path) -> None:
    text = "published: [{experiment: accuracy, datasets: {cifar10: mnist}}]\n"
    assert load(tmp_path, text).suite.published[0].datasets == {"cifar10": "mnist"}


@pytest.mark.parametrize(
    ("link", "place", "reason"),
    [
        ("acuracy", "published[0].experiment", "did you mean `accuracy`?"),
        (
            "{experiment: accuracy, initialisers: {hee: he}}",
            "published[0].initialisers.hee",
            "`accuracy` has no `hee` among its initialisers; did you mean `he`",
        ),
        (
            "{experiment: accuracy, initialisers: {ghn: ghm}}",
            "published[0].initialisers.ghn",
            "no initialiser has the label `ghm`",
        ),
        (
            "{experiment: accuracy, datasets: {cifar10: digit}}",
            "published[0].datasets.cifar10",
            "no dataset has the label `digit`; did you mean `digits`?",
        ),
        (
            "{experiment: accuracy, only: {epochs: 3}}",
            "published[0].only.epochs",
            "did you mean `epoch`?",
        ),
        ("{experiment: accuracy, dataset: x}", "published[0].dataset", "unknown key"),
        ("{only: {epoch: 3}}", "published[0].experiment", "missing"),
        ("3", "published[0]", "expected"),
    ],
)
def test_a_slip_is_reported_with_its_place(
    tmp_path: Path, link: str, place: str, reason: str
) -> None:
    with pytest.raises(UserError) as error:
        load(tmp_path, f"published: [{link}]\n")

    assert f"small.yaml:{SUITE.count(chr(10)) + 1}:" in str(error.value)
    assert f"`{place}`" in str(error.value)
    assert reason in str(error.value)


def test_a_slip_in_a_profile_is_found_without_choosing_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"profiles\.more\.published\[0\].*`accuracy`"):
        load(tmp_path, "  more: {published: [acuracy]}\n")


def test_the_bundled_suites_link_to_what_is_published() -> None:
    linked = [name for name in bundled_suites() if load_suite(name).suite.published]
    assert "convergence_accuracy" in linked


def links(*notes: PublishedNote, measures: tuple[MeasureNote, ...] = ()) -> Links:
    return Links(notes, measures, published_table())


def test_only_chooses_values_and_leaves_open_what_it_does_not_name() -> None:
    found = links(PublishedNote(experiment="accuracy", only={"epoch": [1, 25]}))

    assert found.to("accuracy", {"epoch": 25, "dataset": "pcam"}) is not None
    assert found.to("accuracy", {"epoch": 50}) is None
    assert found.to("similarity", {"epoch": 25}) is None


def test_a_label_with_a_setting_in_it_is_filled_in() -> None:
    note = PublishedNote(
        experiment="hyper_representation_in_dataset",
        measures={"test_accuracy": "accuracy_after_{epoch}"},
    )
    measure = MeasureNote(name="accuracy_after", config={}, label="accuracy_after_25")
    found = links(note, measures=(measure,))

    assert found.measure(note, "test_accuracy", {"epoch": 25}) == measure
    missing = found.measure(note, "test_accuracy", {"epoch": 1})
    assert missing == "the suite has no measure `accuracy_after_1`"
