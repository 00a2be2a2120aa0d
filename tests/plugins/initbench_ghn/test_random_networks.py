"""Random networks: every one of them builds, runs, has a graph, and is predicted whole."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from initbench_ghn.architecture import Architecture
from initbench_ghn.architectures import RANDOM_JUDGES, Architectures
from initbench_ghn.network import GHN
from initbench_ghn.random_networks import random_network
from initbench_ghn.traced import Traced

torch.manual_seed(0)
SMALL = GHN(Architecture(hid=8, decoder_shape=(16, 16, 3, 3), num_classes=4))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    number=st.integers(0, 2**31),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 12),
    size=st.sampled_from([8, 9, 28]),
)
def test_every_random_network_builds_runs_and_is_predicted(
    number: int, channels: int, classes: int, size: int
) -> None:
    network = random_network(number, channels, classes)
    images = torch.randn(2, channels, size, size)
    assert network(images).shape == (2, classes)
    traced = Traced.of(network, (channels, size, size))
    assert traced.graph.classifier is not None
    assert traced.graph.without_node == {}
    (tiles,) = SMALL([traced.graph])
    assert tiles.keys() == traced.shapes.keys()
    logits = traced(tiles, images)
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()
    logits.square().mean().backward()


def test_a_number_is_the_same_network_always_and_others_are_others() -> None:
    first, again = (str(random_network(5, 3, 10)) for _ in range(2))
    assert first == again
    assert len({str(random_network(number, 3, 10)) for number in range(30)}) == 30


def test_all_kinds_of_nodes_occur() -> None:
    kinds: Counter[str] = Counter()
    for number in range(40):
        with torch.device("meta"):
            network = random_network(number, 3, 10)
        kinds.update(Traced.of(network, (3, 32, 32)).graph.counts())
    assert set(kinds) == {
        *("max_pool", "avg_pool", "sep_conv", "dil_conv", "conv", "cse", "sum", "concat"),
        *("input", "bias", "bn", "ln", "glob_avg"),
    }


def test_architectures_are_the_residual_ones_and_then_random_ones() -> None:
    found = Architectures([20, 32], 3, 3, 10, average_pool=False)
    assert (len(found), found.judges) == (5, 2)
    assert [len(list(found[i].parameters())) for i in (0, 1)] == [59, 95]
    assert [str(found[i]) for i in (2, 4)] == [str(random_network(i, 3, 10)) for i in (0, 2)]
    assert all(parameter.is_meta for parameter in found[4].parameters())
    assert len(list(iter(found))) == 5  # type: ignore[call-overload]
    assert Architectures([], 100, 3, 10, average_pool=False).judges == RANDOM_JUDGES
