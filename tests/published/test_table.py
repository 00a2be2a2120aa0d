"""The published table: what the papers state is there unchanged, and nothing else is accepted."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from initbench.errors import UserError
from initbench.published import table as module
from initbench.published.table import every, published_table, read_table

FILE = Path(module.__file__).with_name("published_results.yaml")


@pytest.fixture
def changed(tmp_path: Path):
    """Return the shipped table with one text replaced, as a file."""

    def change(old: str, new: str) -> Path:
        text = FILE.read_text("utf-8")
        assert old in text
        path = tmp_path / "changed.yaml"
        path.write_text(text.replace(old, new, 1), "utf-8")
        return path

    return change


def test_the_shipped_table_satisfies_its_own_schema() -> None:
    assert published_table().schema_version == 2


def test_every_number_of_the_papers_is_there() -> None:
    table = published_table()
    papers = Counter(result.source.partition(":")[0] for result in table.results)

    assert papers == {
        "harder2023": 27,
        "schuerholt2022ws": 90,
        "knyazev2022ws": 12,
        "chang2020": 4,
    }
    assert sum(result.std is not None for result in table.results) == 90


def test_a_number_is_as_it_was_printed() -> None:
    found = [
        result
        for result in published_table().results
        if (result.experiment, result.dataset, result.initialiser, result.epoch)
        == ("hyper_representation_in_dataset", "svhn", "S_KDE30", 1)
    ]

    assert [(r.mean, r.std, r.unit, r.n) for r in found] == [(69.9, 1.6, "percent", None)]


def test_every_claim_is_about_names_that_its_experiment_uses_elsewhere_or_alone() -> None:
    table = published_table()
    for claim in table.claims:
        names = table.names(claim.experiment)
        assert {*claim.initialisers, *claim.others} <= names["initialisers"]
        assert table.metrics[claim.metric].measure is not None, claim.id


@pytest.mark.parametrize(
    ("old", "new", "place", "reason"),
    [
        ("mean: 5\n", "mean: five\n", "`results[0].mean`", "expected a number"),
        ("mean: 5\n", "mean: 5\n  average: 5\n", "`results[0].average`", "unknown key"),
        (
            "experiment: convergence_speed\n",
            "experiment: convergence\n",
            "`results[0].experiment`",
            "unknown experiment `convergence`; did you mean `convergence_speed`",
        ),
        (
            "source: harder2023:supplement table 1",
            "source: harder:supplement table 1",
            "`results[0].source`",
            "unknown paper `harder`",
        ),
        ("unit: evaluations of 300 batches\n", "unit: rounds\n", "`results[0].unit`", "unknown"),
        ("factor: 0.01", "factor: 0", "`units.percent.factor`", "a number above 0"),
        ("kind: all_runs_beat\n", "kind: beats\n", "`claims[0].kind`", "did you mean"),
        ("  side: below\n", "", "`claims[12]`", "needs a `side`"),
        (
            "initialisers: [ghn]\n  others: [xavier, he, slice_vae, vqvae_star]\n",
            "initialisers: [ghn]\n",
            "`claims[0]`",
            "needs `others`",
        ),
        (
            "initialisers: [ghn]\n  others: [xavier",
            "initialisers: [ghn]\n  others: [ghn",
            "`claims[0]`",
            "on both sides",
        ),
        ("id: accuracy_ghn_highest", "id: accuracy_ghn_beats_all", "`claims[1].id`", "taken"),
        ("schema_version: 2", "schema_version: 3", "`schema_version`", "expected `2`"),
    ],
)
def test_a_mistake_is_reported_with_place_and_reason(
    changed, old: str, new: str, place: str, reason: str
) -> None:
    with pytest.raises(UserError) as error:
        read_table(changed(old, new))

    message = str(error.value)
    assert re.match(r"changed\.yaml:\d+:\d+: ", message)
    assert place in message
    assert reason in message


@pytest.mark.parametrize("text", ["", "[]", "results: [", "\x00", "papers: {}\n", "- 1\n"])
def test_no_text_makes_a_traceback(tmp_path: Path, text: str) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(text)

    with pytest.raises(UserError, match=r"table\.yaml"):
        read_table(path)


def test_settings_are_combined() -> None:
    assert every({}) == [{}]
    assert every({"severity": [1, 2], "epoch": [0]}) == [
        {"severity": 1, "epoch": 0},
        {"severity": 2, "epoch": 0},
    ]
