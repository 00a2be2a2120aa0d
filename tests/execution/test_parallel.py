"""A trial on two devices leaves the record that it leaves on one, and no rank ends unnoticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from initbench.data.identify import identify
from initbench.errors import UserError
from initbench.execution import parallel
from initbench.execution.events import Broken, Event, Finished, Outcome, Progress
from initbench.execution.jobs import jobs_of
from initbench.execution.parallel import LostError, RankError
from initbench.execution.worker import perform_and_tell
from initbench.execution.workspace import Workspace
from initbench.plugin.registry import Registry
from initbench.store.record import Record, TrialStatus
from initbench.store.spool import Spool
from initbench.store.store import Store
from initbench.suite.expansion import expand
from initbench.suite.load import load_suite
from tests.plugin.worlds import World, world  # noqa: F401

SUITE = """\
title: A suite
question: Which?
models: [{model}]
datasets: [digits]
initialisers: [default]
recipe:
  optimiser: {{name: sgd, lr: 0.05}}
  epochs: 1
  batch_size: 300
  evaluation: {{kept_epochs: [0, 1]}}
seeds: 1
measures: [test_accuracy]
comparisons: {{reference: default}}
"""

MODEL = """
    import os, signal
    import torch
    import torch.distributed as dist
    from initbench.api import Citation, Config, Model

    class Network(torch.nn.Sequential):
        def forward(self, images):
            if self.training and dist.is_initialized() and dist.get_rank() == 1:
                {what}
            return super().forward(images)

    class Fragile(Model[Config]):
        name = "fragile"
        summary = "a network that does not survive on the second device"
        citation = Citation("Nobody, 2026")
        licence = "none"
        version = "1"

        def build(self, channels, image_size, classes):
            inputs = channels * image_size * image_size
            return Network(torch.nn.Flatten(), torch.nn.Linear(inputs, classes))
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _performed(
    folder: Path, devices: int, model: str = "zoo_cnn", device: str = "cpu"
) -> tuple[list[Event], Record | None]:
    """Return the events of the one trial of a suite, and its record if there is one."""
    suite = folder / "suite.yaml"
    suite.write_text(SUITE.format(model=model))
    registry = Registry.installed()
    plan = expand(load_suite(suite), registry, lambda d, r: identify(d, r.tree(), None))
    *before, job = jobs_of(plan, {})
    events: list[Event] = []
    with Store(folder / f"results-{devices}").lock("a test") as writer:
        spool = Spool(writer.paths.spool / "test")
        workspace = Workspace(registry, writer, spool, device, None, devices)
        for each in (*before, job):
            events.clear()
            perform_and_tell(json.dumps(each.tree()), workspace, events.append)
            for event in events:
                if isinstance(event, Outcome):
                    writer.adopt(Path(event.path))
        return events, writer.record(job.id)


def test_the_record_is_that_of_one_device(tmp_path: Path) -> None:
    alone, together = (_performed(tmp_path, devices) for devices in (1, 2))
    assert [type(event) for event in together[0]] == [Progress, Progress, Outcome, Finished]
    expected, record = alone[1], together[1]
    assert expected is not None
    assert record is not None
    assert (record.status, record.key) == (TrialStatus.DONE, expected.key)
    assert record.streams == expected.streams
    assert record.final == pytest.approx(expected.final, rel=1e-4)
    assert record.coverage == expected.coverage
    assert record.weights is not None
    assert (record.cost.devices, expected.cost.devices) == (2, 1)
    assert record.attempt_notes == ["trained on 2 devices"]
    assert record.kept_epochs == expected.kept_epochs == [0, 1]
    kept = [
        Store(tmp_path / f"results-{n}").states(r)["kept"] for n, r in ((1, expected), (2, record))
    ]
    torch.testing.assert_close(kept[0], kept[1], rtol=1e-4, atol=1e-5)


def test_what_a_network_raises_on_one_device_is_a_failed_record(
    tmp_path: Path,
    world: World,  # noqa: F811
) -> None:
    source = {"fragile.py": MODEL.replace("{what}", "raise ValueError('not on this one')")}
    world.install("fragile", {"model.fragile": "fragile:Fragile"}, source)
    events, record = _performed(tmp_path, 2, "fragile")
    assert [type(event) for event in events] == [Progress, Outcome, Finished]
    assert record is not None
    assert record.status is TrialStatus.FAILED
    assert record.failure is not None
    assert record.failure.message == "on device 2 of 2: ValueError: not on this one"
    assert "in forward" in record.failure.log
    assert str(tmp_path) not in record.failure.log


def test_a_process_that_is_killed_is_a_lost_trial(
    tmp_path: Path,
    world: World,  # noqa: F811
) -> None:
    source = {"fragile.py": MODEL.replace("{what}", "os.kill(os.getpid(), signal.SIGKILL)")}
    world.install("fragile", {"model.fragile": "fragile:Fragile"}, source)
    events, record = _performed(tmp_path, 2, "fragile")
    assert record is None
    assert isinstance(events[-1], Broken)
    assert events[-1].why == "lost"
    assert "one of the 2 processes of a trial died" in events[-1].message


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_on_two_gpus_the_record_is_that_of_one(tmp_path: Path) -> None:
    # ResNet-20 has batch norm in all of its blocks.
    (_, alone), (_, together) = (
        _performed(tmp_path, devices, "cifar_resnet", "cuda") for devices in (1, 2)
    )
    assert alone is not None
    assert together is not None
    assert together.status is TrialStatus.DONE
    assert together.streams == alone.streams
    assert together.final["test_loss.last"] == pytest.approx(
        alone.final["test_loss.last"], rel=0.01
    )


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (UserError("a batch of 1 image"), UserError, "^a batch of 1 image$"),
        (MemoryError("all gone"), LostError, "^on device 2 of 4: MemoryError: all gone$"),
        (torch.OutOfMemoryError("all gone"), LostError, "OutOfMemoryError: all gone"),
        (KeyError("x"), RankError, "KeyError: 'x'"),
    ],
)
def test_what_a_rank_met_is_raised_as_what_it_is(
    error: Exception, raised: type[Exception], message: str
) -> None:
    trouble = parallel._trouble(1, error)
    with pytest.raises(raised, match=message):
        parallel._raise(trouble, 4)
