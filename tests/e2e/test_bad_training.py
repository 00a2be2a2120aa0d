"""What goes wrong while a trial is trained is a record with a status; the others go on."""

from __future__ import annotations

from pathlib import Path

from initbench.store.record import TrialStatus
from tests.e2e.harness import SUITE, initbench, records, write_suite
from tests.plugin.worlds import World

MODULE = """
    import torch
    from torch import nn
    from initbench.api import Citation, Config, CoverageMap, Initialiser, Model, Scope

    class Greedy(nn.Module):
        def forward(self, images):
            if self.training:
                raise torch.OutOfMemoryError("tried to allocate 3 GiB")
            return images

    class Plain(Model[Config]):
        name = "plain"
        summary = "a linear classifier"
        citation = Citation("Nobody, 2026")
        licence = "none"
        version = "1"
        middle = nn.Identity

        def build(self, channels, image_size, classes):
            inputs = channels * image_size**2
            return nn.Sequential(nn.Flatten(), self.middle(), nn.Linear(inputs, classes))

    class TooLarge(Plain):
        name = "too_large"
        middle = Greedy

    class Huge(Initialiser[Config]):
        name = "huge"
        scope = Scope.POINTWISE
        summary = "weights whose first loss is not a number"
        citation = Citation("Nobody, 2026")
        version = "1"

        @torch.no_grad()
        def initialise(self, network, job):
            coverage = CoverageMap.of(network)
            for name, parameter in network.named_parameters():
                parameter.fill_(1e38)
                coverage.generated(name, "huge")
            return coverage
"""

ENTRY_POINTS = {
    "model.plain": "bad_training:Plain",
    "model.too_large": "bad_training:TooLarge",
    "initialiser.huge": "bad_training:Huge",
}


def test_out_of_memory_and_nan_are_records_and_the_rest_is_trained(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    World(tmp_path / "site").install("bad-training", ENTRY_POINTS, {"bad_training.py": MODULE})
    suite = write_suite(
        tmp_path,
        SUITE.replace("{name: zoo_cnn, activation: tanh}", "too_large, plain").replace(
            "[default, he, lecun]", "[default, huge]"
        ),
    )
    arguments = ("run", suite, "--no-mlflow", "--workers", "2", "--stack")
    ended = initbench(*arguments, folder=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    assert ended.code == 3, ended.err
    assert "Traceback" not in ended.err
    outcomes: dict[tuple[str, str], set[tuple[TrialStatus, str]]] = {}
    for record in records(tmp_path).values():
        names = (record.identity["model"]["name"], record.identity["initialiser"]["name"])
        message = record.failure.message if record.failure else ""
        outcomes.setdefault(names, set()).add((record.status, message))
    lost = (TrialStatus.LOST, "out of memory: tried to allocate 3 GiB")
    assert outcomes == {
        ("plain", "default"): {(TrialStatus.DONE, "")},
        ("plain", "huge"): {
            (TrialStatus.DIVERGED, "the training loss was not finite after 19 steps")
        },
        ("too_large", "default"): {lost},
        ("too_large", "huge"): {lost},
    }
    assert "4 lost" in ended.out + ended.err


def test_a_batch_larger_than_the_data_is_a_failed_record(tmp_path: Path) -> None:
    suite = write_suite(tmp_path, SUITE.replace("batch_size: 64", "batch_size: 100000"))
    arguments = ("run", suite, "--no-mlflow", "--workers", "1", "--seeds", "1")
    ended = initbench(*arguments, folder=tmp_path)
    assert ended.code == 3, ended.err
    assert "Traceback" not in ended.err
    (trials, *_) = records(tmp_path).values()
    assert len(records(tmp_path)) == 3
    assert trials.status is TrialStatus.FAILED
    assert trials.failure is not None
    assert "`batch_size` is 100000, but the training split has only 1197" in trials.failure.message
    assert "100000" in ended.out + ended.err
