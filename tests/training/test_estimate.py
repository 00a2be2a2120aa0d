"""An estimate is of the size of the real thing, and measuring changes nothing."""

from __future__ import annotations

import copy
import time

import torch

from initbench.training.estimate import DataShape, seconds_per_trial
from initbench.training.outcome import Member
from initbench.training.trainer import train
from tests.training.networks import data, equal, network, recipe, splits

SHAPE = DataShape.of(splits(train=400, size=12))


def test_a_shape_is_read_off_the_splits() -> None:
    expected = DataShape(train=400, validation=21, test=20, channels=1, image_size=12, classes=3)
    assert DataShape.of(splits(train=400, size=12)) == expected


def test_an_estimate_is_of_the_size_of_the_cpu_time_of_training() -> None:
    net, chosen = network(size=12), recipe(epochs=4)
    estimate = seconds_per_trial(net, SHAPE, chosen)
    real = train([Member(net, 0)], data(train=400, size=12), chosen)[0].cost.device_seconds
    assert real / 5 < estimate < real * 5


def test_an_estimate_grows_with_the_number_of_steps() -> None:
    short = seconds_per_trial(network(size=12), SHAPE, recipe(epochs=1))
    long = seconds_per_trial(network(size=12), SHAPE, recipe(epochs=100))
    assert long > 20 * short


def test_measuring_is_quick_and_leaves_everything_alone() -> None:
    net = network(0, torch.nn.BatchNorm2d(4), torch.nn.Dropout(), size=12)
    before = copy.deepcopy(net.state_dict())
    threads = torch.get_num_threads()
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    start = time.process_time()
    seconds_per_trial(net, SHAPE, recipe())
    assert time.process_time() - start < 2
    assert equal(net.state_dict(), before)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(2), expected)


def test_a_warm_up_of_many_batches_is_no_obstacle() -> None:
    chosen = recipe(schedule={"name": "cosine", "warmup_batches": 3}, epochs=3)
    assert seconds_per_trial(network(size=12), SHAPE, chosen) > 0
