"""Rank intervals hold exactly the ranks that the data leave open."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from initbench.leaderboard.ranks import RankInterval, rank_intervals
from initbench.results import Row


def row(name: str, mean: float | None, half: float | None = 0.0, direction: str = "higher") -> Row:
    known = mean is not None and half is not None
    return Row(
        initialiser=name,
        model="m",
        dataset="d",
        measure="x",
        unit="fraction",
        direction=direction,
        n=3,
        failed=0,
        missing=0,
        mean=mean,
        std=None,
        low=mean - half if known else None,
        high=mean + half if known else None,
        median=None,
        values={},
    )


def by_listing_all_orders(rows: list[Row]) -> dict[str, RankInterval]:
    """Try every order of the rows that contradicts no pair of separate intervals."""
    sign = 1 if rows[0].direction == "higher" else -1
    ends = [sorted((sign * r.low, sign * r.high)) for r in rows if r.low is not None]
    found: dict[str, list[int]] = {r.initialiser: [] for r in rows}
    for order in permutations(range(len(rows))):
        if all(ends[b][0] <= ends[a][1] for i, a in enumerate(order) for b in order[i + 1 :]):
            for place, i in enumerate(order, start=1):
                found[rows[i].initialiser].append(place)
    return {name: RankInterval(min(places), max(places)) for name, places in found.items()}


intervals = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=5)


@given(intervals, st.sampled_from(["higher", "lower"]))
def test_they_are_the_ranks_in_all_orders_that_the_intervals_allow(
    drawn: list[tuple[int, int]], direction: str
) -> None:
    rows = [row(f"i{k}", mean, half, direction) for k, (mean, half) in enumerate(drawn)]
    assert rank_intervals(rows, {}) == by_listing_all_orders(rows)


def test_separate_intervals_give_single_ranks() -> None:
    ranks = rank_intervals([row("a", 0.9), row("b", 0.8), row("c", 0.7)], {})
    assert [str(ranks[name]) for name in "abc"] == ["1", "2", "3"]


def test_overlapping_intervals_share_ranks() -> None:
    ranks = rank_intervals([row("a", 0.9, 0.1), row("b", 0.8, 0.1), row("c", 0.5)], {})
    assert [str(ranks[name]) for name in "abc"] == ["1–2", "1–2", "3"]


def test_a_verdict_outranks_the_intervals_of_means() -> None:
    # Paired seeds tell apart what overlapping intervals of means cannot, and the other way round.
    overlapping = [row("a", 0.9, 0.3), row("ref", 0.8, 0.3)]
    assert str(rank_intervals(overlapping, {("a", "ref"): "better"})["a"]) == "1"
    assert str(rank_intervals(overlapping, {("a", "ref"): "worse"})["a"]) == "2"
    assert str(rank_intervals(overlapping, {("ref", "a"): "worse"})["a"]) == "1"
    separate = [row("a", 0.9), row("ref", 0.8)]
    assert str(rank_intervals(separate, {("a", "ref"): "undecided"})["a"]) == "1–2"
    assert str(rank_intervals(separate, {("a", "ref"): "equivalent"})["ref"]) == "1–2"


def test_without_an_interval_any_rank_is_open() -> None:
    ranks = rank_intervals([row("a", 0.9, None), row("b", 0.1, None)], {})
    assert str(ranks["a"]) == str(ranks["b"]) == "1–2"


def test_without_a_mean_there_is_no_rank_and_others_do_not_move() -> None:
    ranks = rank_intervals([row("a", None), row("b", 0.5), row("c", 0.4)], {})
    assert ranks == {"b": RankInterval(1, 1), "c": RankInterval(2, 2)}
