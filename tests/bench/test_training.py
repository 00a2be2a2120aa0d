"""All loops compute the same, are timed in turns, and their figures are remembered."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from initbench.bench import equality, laps, sides, training
from initbench.bench.ceilings import Ceilings, Demand, demand
from initbench.bench.equality import check_equal
from initbench.bench.images import images_of
from initbench.bench.laps import Way, choices
from initbench.bench.material import Material
from initbench.bench.overhead import Overhead
from initbench.bench.series import speedups_over_first
from initbench.bench.sides import Side
from initbench.bench.tasks import TASKS, task_of
from initbench.bench.training import TrainingFigure, TrainingFigures, training_figures, ways
from initbench.errors import InitbenchError, UserError
from initbench.execution.speeds import Kind, Speeds
from initbench.plugin.registry import Registry
from initbench.training.recipe import Recipe

CEILINGS = Ceilings({"float32": 1e12}, 1e11)
KIND = Kind({"name": "net"}, 1, 28, 10, batch_size=10, precision="float32")


@pytest.fixture(scope="module")
def found() -> TrainingFigures:
    """The benchmark of one tiny task, with a process for each side."""
    tiny = replace(TASKS["zoo_cnn_10"], steps=10)
    with pytest.MonkeyPatch.context() as patch:

        def few_images(dataset, root, size):  # type: ignore[no-untyped-def]
            return images_of(dataset, root, 500, size)

        def quickest(*arguments):  # type: ignore[no-untyped-def]
            return [way for way in ways(*arguments) if way.loop != "tuned"]

        patch.setattr(training, "images_of", few_images)
        patch.setattr(training, "ways", quickest)
        return training_figures(None, [tiny], stacks=[2], workers=1, repeats=2, seconds=0.01)


def test_every_side_has_a_figure_and_the_plain_loop_comes_first(found: TrainingFigures) -> None:
    assert [(figure.side, figure.stack, figure.networks) for figure in found.figures] == [
        ("PyTorch, one network", 0, 1),
        ("initbench, one network", 1, 1),
        ("initbench, a stack of 2", 2, 2),
    ]
    for figure in found.figures:
        assert len(figure.seconds) == 2
        assert figure.amount % (10 * figure.networks) == 0
        assert 0 < figure.of_matrix_ceiling < 1
        assert figure.of_bandwidth_ceiling > 0
        assert figure.peak_bytes > 50e6
        assert "the images are generated, because: " in figure.note
    assert "no loader workers" in found.figures[0].note


def test_a_tuned_loop_says_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gate:
        note = ""

        def wait(self) -> int:
            raise EOFError

    monkeypatch.setattr(laps, "choices", lambda available: [(1, 0)])
    task = TASKS["zoo_cnn_10"]
    model, recipe = task.resolved(Registry.installed())
    splits, _ = images_of(task.dataset, None, 100)
    material = Material.written(model.thing, recipe, splits, "cpu", tmp_path)
    gate, threads = Gate(), torch.get_num_threads()
    with pytest.raises(EOFError):
        laps._plain(gate, material, Way("tuned", steps=1), 0)  # type: ignore[arg-type]
    torch.set_num_threads(threads)
    assert re.fullmatch(r"\d+\.\d\d ms a step with 1 thread and 0 loader workers", gate.note)


def test_the_overhead_of_the_harness_is_measured_beside_a_bare_loop(found: TrainingFigures) -> None:
    (over,) = found.overheads.values()
    assert -0.5 < over.loop < 1.5  # of laps of a few milliseconds
    assert 0 < over.record_seconds < 2
    assert over.trial_seconds > 0


def test_storing_a_record_counts_once_a_trial() -> None:
    assert Overhead(loop=0.01, record_seconds=0.1, trial_seconds=10).share == pytest.approx(0.02)


def test_json_holds_all_that_was_measured(found: TrainingFigures) -> None:
    tree = json.loads(json.dumps(found.tree(), allow_nan=False))
    assert set(tree) == {"device", "figures", "ceilings", "demands", "overheads"}
    assert tree["figures"][2]["stack"] == 2
    assert tree["figures"][2]["rate"] == found.figures[2].rate
    assert set(tree["demands"]) == {"zoo CNN, MNIST, batches of 10"}
    assert tree["ceilings"]["operations"]["float32"] > 1e8


# --- figures, from clocks that were set by hand -------------------------------------------------


def a_figure(side: str, seconds: tuple[float, ...], **changes: object) -> TrainingFigure:
    figure = TrainingFigure("task", side, seconds, 1000, "images", batch_size=10)
    return replace(figure, **changes)


def test_ratios_are_those_of_pairs_of_laps_to_the_first_side() -> None:
    figures = [
        a_figure("plain", (4.0, 8.0, 4.0)),
        a_figure("ours", (1.0, 1.0, 2.0), stack=1),
        a_figure("stacks", (1.0, 2.0, 1.0), stack=5, networks=10, amount=10_000),
    ]
    ours, stacks = speedups_over_first(figures)
    assert (ours.side, ours.against) == ("ours", "plain")
    assert (ours.median, ours.lowest, ours.highest) == (4.0, 2.0, 8.0)
    assert (stacks.median, stacks.lowest, stacks.highest) == (40.0, 40.0, 40.0)


def test_a_share_is_the_rate_times_the_demand_of_an_image() -> None:
    figure = training._with_shares(a_figure("ours", (2.0,)), Demand(1e8, 1e6), CEILINGS)
    assert figure.of_matrix_ceiling == pytest.approx(500 * 1e8 / 1e12)
    assert figure.of_bandwidth_ceiling == pytest.approx(500 * 1e6 / 1e11)


def test_our_speeds_are_remembered_those_with_all_workers_busy() -> None:
    figures = [
        a_figure("plain", (1.0,)),
        a_figure("one", (1.0,), stack=1),
        a_figure("two at once", (1.0,), stack=1, networks=2, amount=1600),
        a_figure("two stacks", (2.0,), stack=5, networks=10, amount=10_000),
    ]
    TrainingFigures("cpu", CEILINGS, figures, kinds={"task": KIND}).remember()
    # 1,600 images of two networks in a second are 80 steps of each.
    assert Speeds("cpu").get(KIND) == pytest.approx({1: 1 / 80, 5: 2 / 500})


# --- how tasks are done -------------------------------------------------------------------------


def test_two_cores_train_two_networks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "cores", lambda: 2)
    chosen = ways(TASKS["zoo_cnn_128"], "cpu")
    assert [way.side for way in chosen] == [
        "PyTorch, one network",
        "PyTorch, tuned, one network",
        "PyTorch, 2 networks at once",
        "initbench, one network",
        "initbench, 2 networks at once",
        "initbench, 2 stacks of 5",
        "initbench, 2 stacks of 25",
        "initbench, 2 stacks of 100",
    ]


def test_a_gpu_trains_larger_stacks_in_one_process() -> None:
    chosen = ways(TASKS["zoo_cnn_10"], "cuda")
    assert {way.processes for way in chosen} == {1}
    assert [way.networks for way in chosen if way.loop == "stacked"] == [5, 25, 100, 1000]


def test_threads_and_loader_workers_that_are_tried_fit_the_machine() -> None:
    assert choices(1) == [(1, 0), (1, 1), (1, 2)]
    assert choices(2) == [(1, 0), (1, 2), (2, 0), (2, 2)]
    assert max(count for _, count in choices(64)) == 8


def test_a_task_can_be_made_of_any_model_and_data_set() -> None:
    registry = Registry.installed()
    task = task_of(registry, "zoo_cnn", "digits", 16, "schuerholt2022_mnist")
    splits, _ = images_of(task.dataset, None, 128, size=28)
    assert splits.image_size == 28
    check_equal(*task.resolved(registry), splits, "cpu")


def test_data_that_are_decoded_while_training_are_refused() -> None:
    with pytest.raises(UserError, match="data set `imagenet` is decoded while training"):
        task_of(Registry.installed(), "resnet50", "imagenet", 16, "harder2023_cifar10")


# --- sides --------------------------------------------------------------------------------------


def test_a_lap_is_as_many_rounds_as_take_the_seconds_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    side = Side(Way("ours", steps=10), None)  # type: ignore[arg-type]
    clock = iter([0.0, 0.25])
    monkeypatch.setattr(sides.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(side, "_wait", lambda: None)
    side.prepare(1.1)
    assert side.rounds == 4


@pytest.mark.parametrize("lack", [True, False])
def test_a_side_that_lacks_memory_is_told_from_one_that_is_broken(lack: bool) -> None:
    class Process:
        pass

    class Connection:
        def recv(self) -> object:
            return laps.Failed("RuntimeError: something", lack)

    side = Side(Way("ours"), None)  # type: ignore[arg-type]
    expected = sides.OutOfMemoryError if lack else InitbenchError
    with pytest.raises(InitbenchError, match="something") as problem:
        side._answer(Process(), Connection())  # type: ignore[arg-type]
    assert type(problem.value) is expected


# --- equality and demand ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["zoo_cnn_10", "zoo_cnn_128"])
def test_all_loops_compute_the_same(name: str) -> None:
    _check(name)


def _check(name: str) -> None:
    task, registry = TASKS[name], Registry.installed()
    splits, _ = images_of(task.dataset, None, 600)
    check_equal(*task.resolved(registry), splits, "cpu")


@pytest.mark.parametrize("loop", ["train", "train_stack"])
def test_loops_that_differ_are_not_compared(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = getattr(equality, loop)

    def another(members, data, recipe):  # type: ignore[no-untyped-def]
        with torch.no_grad():
            next(members[1].network.parameters()).mul_(1.5)
        return real(members, data, recipe)

    monkeypatch.setattr(equality, loop, another)
    with pytest.raises(InitbenchError, match=r"in a plain loop and .* so their times cannot"):
        _check("zoo_cnn_10")


def test_the_demand_of_a_linear_network_is_counted_by_hand() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3, bias=False))
    recipe = Recipe.model_validate(
        {"optimiser": {"name": "sgd", "lr": 0.1}, "epochs": 1, "batch_size": 8}
    )
    asked = demand(network, (1, 4, 4), 3, recipe)
    # Forwards, and the gradient of the weights; that of the images is not asked for.
    assert asked.operations == 2 * (2 * 16 * 3)
    weights, images = 4 * 16 * 3, 4 * 16
    assert asked.bytes > 2 * images + 5 * weights / 8  # read twice; two products, the step
    assert asked.bytes < 4 * images + 20 * weights / 8


@pytest.mark.skipif("INITBENCH_DATA" not in os.environ, reason="INITBENCH_DATA is not set")
def test_resnet_computes_the_same_in_all_loops_on_real_images() -> None:
    root = Path(os.environ["INITBENCH_DATA"])
    if not (root / "cifar-10-batches-py").is_dir():
        pytest.skip("INITBENCH_DATA has no cifar-10-batches-py")
    task, registry = TASKS["resnet20_128"], Registry.installed()
    splits, note = images_of(task.dataset, root, 64)
    assert not note
    check_equal(*replace(task, batch_size=16).resolved(registry), splits, "cpu")
