"""What plugins learn from: a zoo is split by model, in the same way each time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initbench.api import UserError, Zoo, ZooMember
from initbench.plugin.sources import split_sizes


def zoo(*seeds: int) -> Zoo:
    return Zoo([ZooMember(seed, {}, {}, 0.5) for seed in seeds])


def test_the_first_70_per_cent_by_seed_are_for_training() -> None:
    train, validation, test = zoo(*reversed(range(1000))).split()
    assert [member.seed for member in train] == list(range(700))
    assert [member.seed for member in validation] == list(range(700, 850))
    assert [member.seed for member in test] == list(range(850, 1000))


def test_other_shares() -> None:
    sizes = [len(part) for part in zoo(*range(100)).split(train=0.8, validation=0.1)]
    assert sizes == [80, 10, 10]


@given(members=st.integers(0, 2000), percent=st.integers(1, 98))
def test_each_member_is_in_one_part_and_no_part_is_empty(members: int, percent: int) -> None:
    train, validation = percent / 100, (100 - percent) / 200
    sizes = split_sizes(members, train, validation)
    if members < 3:
        assert sizes is None
    else:
        assert sizes is not None
        assert sum(sizes) == members
        assert min(sizes) >= 1
        assert sizes[1] == max(1, (100 - percent) * members // 200)


@pytest.mark.parametrize("members", [0, 1, 2])
def test_a_zoo_that_is_too_small_is_refused(members: int) -> None:
    with pytest.raises(UserError, match=f"a zoo of {members} trained networks is too small"):
        zoo(*range(members)).split()
