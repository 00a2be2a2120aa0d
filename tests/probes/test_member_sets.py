"""The ensembles are the same for everybody, for good."""

from __future__ import annotations

from itertools import combinations

import pytest

from initbench.probes.member_sets import member_sets

FIRST = {
    False: [(0, 5, 6, 20, 23), (1, 2, 3, 4, 5), (1, 6, 16, 20, 24)],
    True: [(0, 0, 4, 18, 24), (1, 3, 12, 13, 19)],
}


@pytest.mark.parametrize("replacement", [False, True])
def test_the_first_ensembles_of_25_members_are_these(replacement: bool) -> None:
    known = FIRST[replacement]
    assert member_sets(25, 5, 20, replacement=replacement)[: len(known)] == known


@pytest.mark.parametrize("replacement", [False, True])
def test_fewer_ensembles_are_the_first_of_more(replacement: bool) -> None:
    few = member_sets(25, 5, 20, replacement=replacement)
    many = member_sets(25, 5, 200, replacement=replacement)
    assert (len(few), len(many)) == (20, 200)
    assert many[:20] == few


def test_without_replacement_members_and_ensembles_are_different() -> None:
    sets = member_sets(25, 5, 200, replacement=False)
    assert len(set(sets)) == 200
    for members in sets:
        assert len(set(members)) == 5
        assert sorted(members) == list(members)
        assert set(members) <= set(range(25))


def test_with_replacement_a_member_may_be_in_an_ensemble_twice() -> None:
    assert any(len(set(members)) < 5 for members in member_sets(25, 5, 20, replacement=True))


@pytest.mark.parametrize("count", [3, 20, 1000])
def test_where_there_are_few_sets_each_is_there_once(count: int) -> None:
    sets = member_sets(6, 3, count, replacement=False)
    everything = list(combinations(range(6), 3))
    assert len(sets) == min(count, 20)
    assert len(set(sets)) == len(sets)
    assert set(sets) <= set(everything)


def test_as_many_members_as_an_ensemble_has_make_one() -> None:
    assert member_sets(5, 5, 200, replacement=False) == [(0, 1, 2, 3, 4)]


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("members", [0, 1, 4])
def test_too_few_members_make_no_ensemble(members: int, replacement: bool) -> None:
    assert member_sets(members, 5, 20, replacement=replacement) == []
