"""The bits are what networks say of each image, and fit into bytes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from initbench.probes.correct_images import CorrectImages, packed, unpacked
from initbench.probes.probe import Observation
from initbench.training import evaluation
from tests.probes.looking import Population, Subject
from tests.training.networks import data, network


@settings(derandomize=True, max_examples=50)
@given(st.lists(st.lists(st.booleans(), min_size=13, max_size=13), min_size=1, max_size=4))
def test_bits_come_out_as_they_went_in(rows: list[list[bool]]) -> None:
    for images in (13, 8, 1):
        bits = torch.tensor(rows)[:, :images]
        there = torch.ones(len(rows), dtype=torch.bool)
        stored = packed(bits)
        assert stored.shape == (len(rows), (images + 7) // 8)
        seen = Observation({"correct": stored, "there": there}, {"images": images})
        assert torch.equal(unpacked(seen), bits)


def test_the_first_image_is_in_the_highest_bit() -> None:
    assert packed(torch.tensor([[True] + [False] * 8])).tolist() == [[128, 0]]


@pytest.mark.parametrize("pixels", [1_000_000, 3 * 64])
def test_a_bit_says_whether_a_network_classifies_an_image_correctly(
    monkeypatch: pytest.MonkeyPatch, pixels: int
) -> None:
    monkeypatch.setattr(evaluation, "EVALUATION_PIXELS", pixels)
    images = data()
    seen = CorrectImages().observe(
        Population([Subject({"best": network(seed)}) for seed in range(3)], images)
    )
    count = len(images.test)
    pixels_of_all, labels = images.batch("test", torch.arange(count))
    with torch.no_grad():
        expected = [network(s).eval()(pixels_of_all).argmax(1) == labels for s in range(3)]
    assert seen.description == {"images": count}
    assert torch.equal(unpacked(seen), torch.stack(expected))


def test_members_without_network_or_with_infinite_logits_are_not_there() -> None:
    broken = network(1)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.inf)
    networks = [Subject({"best": network(0)}), Subject({}), Subject({"best": broken})]
    seen = CorrectImages().observe(Population(networks))
    alone = CorrectImages().observe(Population(networks[:1]))
    assert seen.tensors["there"].tolist() == [True, False, False]
    assert torch.equal(unpacked(seen), unpacked(alone))
