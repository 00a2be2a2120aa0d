"""Splits are the published ones, the same on every platform and with every version of torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import random_split as torch_random_split

from initbench.data.splits import SPLIT_SEED, balanced_draw, first_of_each_class, random_split
from initbench.errors import UserError

PUBLISHED = {
    "cifar10, harder2023": (45_000, 5_000),
    "cifar10, schuerholt2022": (42_000, 8_000),
    "mnist": (50_000, 10_000),
    "pcam, code": (153_600, 25_000, 41_425),
    "pcam, paper": (154_017, 22_002, 44_006),
    "stl10": (4_200, 800),
    "svhn": (60_000, 13_257),
    "usps": (6_000, 1_291),
}

ORDERS = {
    5_000: "b6dc687a96f49032689fdcdc7b886c4b8291540aece92e9cb87f7a1faca4802d",
    7_291: "3a601ef686024cd37bd752954681b8059eba55a2805d112029e43b34c9a66d38",
    50_000: "55ecb6cd4e1eb48274001018b26a797b833f72ae79a02b388e4874497445b43d",
    60_000: "7cd1a1e010482b25004c00bf2e3caae398061dfa812ba311e56e8b6b9b4cdc7a",
    70_000: "3bf5b9b21c9212a78ab12b1b72aa8eaa788eba2d4cd3b84733906b1a9df730c0",
    73_257: "4e081483728ce68cf67e112879b435e2b7fca8a028ecb7304e60e5fae203a12d",
    220_025: "8c6acebe6fd65f94a15f4707c6fabda4863c4fbc0e233dcce94e3e3fb9b7687f",
}
"""SHA-256 of the order of so many images that seed 42 draws, as little-endian 64-bit integers."""


def mersenne_twister(seed: int, count: int) -> list[int]:
    """The first `count` 32-bit draws of MT19937 (Matsumoto and Nishimura, 1998, table 2)."""
    state = [seed & 0xFFFFFFFF]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ (state[-1] >> 30)) + i) & 0xFFFFFFFF)
    draws: list[int] = []
    while len(draws) < count:
        for i in range(624):
            y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7FFFFFFF)
            state[i] = state[(i + 397) % 624] ^ (y >> 1) ^ (0x9908B0DF if y & 1 else 0)
        for word in state:
            y = word ^ (word >> 11)
            y ^= (y << 7) & 0x9D2C5680
            y ^= (y << 15) & 0xEFC60000
            draws.append(y ^ (y >> 18))
    return draws[:count]


def shuffled(draws: Sequence[int]) -> list[int]:
    """Fisher and Yates from the front: each place takes one of those that are left."""
    order = list(range(len(draws)))
    for place, draw in enumerate(draws):
        chosen = place + draw % (len(order) - place)
        order[place], order[chosen] = order[chosen], order[place]
    return order


def numpy_draws(seed: int, count: int) -> list[int]:
    return np.random.RandomState(seed).randint(0, 2**32, count, dtype=np.uint32).tolist()


def digest(order: Sequence[int]) -> str:
    return hashlib.sha256(np.array(order, dtype="<i8").tobytes()).hexdigest()


@pytest.mark.parametrize("sizes", PUBLISHED.values(), ids=PUBLISHED)
def test_published_splits_are_complete_disjoint_and_of_their_sizes(sizes: tuple[int, ...]) -> None:
    parts = random_split(sum(sizes), sizes)
    assert [len(part) for part in parts] == list(sizes)
    assert torch.cat(parts).sort().values.tolist() == list(range(sum(sizes)))


@pytest.mark.parametrize("images", ORDERS)
def test_orders_are_pinned(images: int) -> None:
    (order,) = random_split(images, (images,))
    assert digest(order.tolist()) == ORDERS[images]


@pytest.mark.parametrize("images", ORDERS)
def test_orders_do_not_need_torch(images: int) -> None:
    """A second implementation, with NumPy's generator, whose stream is fixed for good."""
    assert digest(shuffled(numpy_draws(SPLIT_SEED, images))) == ORDERS[images]


@given(st.integers(1, 2000), st.integers(0, 2**32 - 1))
def test_any_order_follows_from_the_mersenne_twister_alone(images: int, seed: int) -> None:
    (order,) = random_split(images, (images,), seed)
    assert order.tolist() == shuffled(mersenne_twister(seed, images))


def test_a_split_is_that_of_the_library_the_authors_used() -> None:
    generator = torch.Generator().manual_seed(42)
    theirs = torch_random_split(range(60_000), [50_000, 10_000], generator)  # type: ignore[arg-type]
    for ours, subset in zip(random_split(60_000, (50_000, 10_000)), theirs, strict=True):
        assert ours.tolist() == list(subset.indices)


def test_a_split_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    random_split(100, (60, 40))
    balanced_draw(torch.arange(100) % 2, 10, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(UserError, match=r"50,000 / 10,000 images needs 60,000, got 59,999"):
        random_split(59_999, (50_000, 10_000))


labels_of_images = st.lists(st.integers(0, 2), min_size=1, max_size=60)


@given(labels_of_images, st.integers(1, 8))
def test_first_of_each_class_is_what_counting_from_the_front_takes(
    labels: list[int], count: int
) -> None:
    taken: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for i, label in enumerate(labels):
        if len(taken[label]) < count:
            taken[label].append(i)
    if any(len(places) < count for places in taken.values()):
        with pytest.raises(UserError, match=f"expected {count} images of class"):
            first_of_each_class(torch.tensor(labels), count, 3)
    else:
        chosen = first_of_each_class(torch.tensor(labels), count, 3)
        assert chosen.tolist() == sorted(i for places in taken.values() for i in places)


@given(labels_of_images, st.integers(1, 8), st.integers(0, 1000))
def test_a_balanced_draw_is_what_counting_along_a_random_order_takes(
    labels: list[int], count: int, seed: int
) -> None:
    taken: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for i in shuffled(mersenne_twister(seed, len(labels))):
        if len(taken[labels[i]]) < count:
            taken[labels[i]].append(i)
    if any(len(places) < count for places in taken.values()):
        with pytest.raises(UserError, match=f"expected {count} images of class"):
            balanced_draw(torch.tensor(labels), count, 3, seed)
    else:
        chosen = balanced_draw(torch.tensor(labels), count, 3, seed)
        assert chosen.tolist() == sorted(i for places in taken.values() for i in places)
