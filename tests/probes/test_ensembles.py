"""The probe of ensembles sees what its definitions say, in bounded memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from initbench.probes.ensembles import Ensembles
from initbench.probes.probe import Observation, ProbeImages
from initbench.probes.scores import Summed, accuracy, brier, ece, nll
from initbench.training import evaluation
from tests.probes import obvious
from tests.probes.looking import Population, Subject
from tests.training.networks import data, network

MEMBERS = 4
DATA = data(50, 21, 37)


def population(*without: int, **fields: Any) -> Population:
    """Four trials, of which some have no network."""
    subjects = [
        Subject({} if seed in without else {"best": network(seed), "last": network(10 + seed)})
        for seed in range(MEMBERS)
    ]
    return Population(subjects, DATA, **fields)


def probabilities(checkpoint: int = 0) -> torch.Tensor:
    images, _ = DATA.batch("test", torch.arange(37))
    with torch.no_grad():
        logits = [network(checkpoint + seed).eval()(images).double() for seed in range(MEMBERS)]
    return torch.stack(logits)


def of(seen: Observation, who: str, part: int = 0) -> Summed:
    totals, bins = (seen.tensors[f"{who}.{what}"][part] for what in ("totals", "bins"))
    return Summed(totals, bins, seen.description["images"][part], seen.description["classes"])


def test_scores_are_those_of_each_ensemble_worked_out_by_hand() -> None:
    seen = Ensembles(size=2, count=3).observe(population())
    assert len(seen.tensors["sets"]) == 6  # all pairs of four
    assert seen.description == {"parts": [""], "images": [37], "shown": 3, "classes": 3}
    labels = DATA.test.labels.tolist()
    logits = probabilities()
    ensembles = of(seen, "ensembles")
    for i, members in enumerate(seen.tensors["sets"].tolist()):
        mean = sum(logits[member] for member in members) / 2
        p = [obvious.softmax(z) for z in mean.tolist()]
        assert accuracy(ensembles)[i].item() == pytest.approx(obvious.accuracy(p, labels))
        assert nll(ensembles)[i].item() == pytest.approx(obvious.nll(p, labels))
        assert brier(ensembles)[i].item() == pytest.approx(obvious.brier(p, labels))
        assert ece(ensembles)[i].item() == pytest.approx(obvious.ece(p, labels))


def test_members_are_scored_alone_at_the_checkpoint_that_is_asked_for() -> None:
    seen = Ensembles(size=2, checkpoint="last").observe(population())
    p = [[obvious.softmax(z) for z in member] for member in probabilities(10).tolist()]
    labels = DATA.test.labels.tolist()
    assert nll(of(seen, "members")).tolist() == pytest.approx([obvious.nll(x, labels) for x in p])


def test_the_mean_of_probabilities_is_another_ensemble() -> None:
    seen = Ensembles(size=2, combine="probabilities").observe(population())
    p = probabilities().softmax(2)
    first, second = seen.tensors["sets"][0].tolist()
    mean = ((p[first] + p[second]) / 2).tolist()
    labels = DATA.test.labels.tolist()
    assert nll(of(seen, "ensembles"))[0].item() == pytest.approx(obvious.nll(mean, labels))


def test_parts_are_seen_in_the_same_pass() -> None:
    parts = {"one": slice(0, 20), "two": slice(20, 37)}
    seen = Ensembles(size=2).observe(population(parts=parts))
    assert seen.description["parts"] == ["", "one", "two"]
    assert seen.description["images"] == [37, 20, 17]
    labels = DATA.test.labels.tolist()[20:]
    p = [obvious.softmax(z) for z in probabilities()[0, 20:].tolist()]
    assert ece(of(seen, "members", 2))[0].item() == pytest.approx(obvious.ece(p, labels))


def test_batches_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    probe, there = Ensembles(size=2), population(parts={"one": slice(5, 30)})
    at_once = probe.observe(there)
    monkeypatch.setattr(evaluation, "EVALUATION_PIXELS", 36 * 4)
    in_batches = probe.observe(there)
    for name, tensor in at_once.tensors.items():
        torch.testing.assert_close(in_batches.tensors[name], tensor, rtol=1e-6, atol=1e-6)


def test_what_is_kept_does_not_grow_with_the_images() -> None:
    few = Ensembles(size=2).observe(population())
    subjects = population().subjects
    many = Ensembles(size=2).observe(Population(subjects, data(50, 21, 370)))
    assert {n: t.shape for n, t in few.tensors.items()} == {
        n: t.shape for n, t in many.tensors.items()
    }


def test_an_ensemble_with_a_trial_without_network_is_at_its_worst_and_no_other() -> None:
    sound = Ensembles(size=2).observe(population())
    seen = Ensembles(size=2).observe(population(1))
    for i, members in enumerate(seen.tensors["sets"].tolist()):
        found, expected = of(seen, "ensembles"), of(sound, "ensembles")
        if 1 in members:
            assert accuracy(found)[i] == pytest.approx(1 / 3)
            assert ece(found)[i] == 1
        else:
            assert torch.equal(found.totals[i], expected.totals[i])


def test_without_any_network_everything_is_at_its_worst() -> None:
    seen = Ensembles(size=2).observe(population(0, 1, 2, 3))
    assert accuracy(of(seen, "ensembles")).tolist() == pytest.approx([1 / 3] * 6)


def test_too_few_trials_make_no_ensemble() -> None:
    seen = Ensembles(size=5).observe(population())
    assert seen.tensors["sets"].shape == (0, 5)
    assert seen.tensors["members.totals"].shape == (1, MEMBERS, 3)


def test_equal_images_are_one_observation_however_they_are_written() -> None:
    by_default = Ensembles(on=ProbeImages("cifar10c"))
    written_out = Ensembles(on=ProbeImages("cifar10c", {"severity": 5}))
    assert by_default.tree() == written_out.tree() == Ensembles().tree()
    assert Ensembles(size=3).tree() != Ensembles().tree()
