"""The weight data set: order, pruning, split, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from initbench_slices.places import Place
from initbench_slices.slices import prune, slices_of, weight_data_set

from initbench.api import PluginError, Zoo, ZooMember
from initbench.models.tracing import anatomy
from tests.plugins.initbench_slices.support import Small, zoo


def spoilt(change: dict[str, torch.Tensor | None]) -> Zoo:
    """A zoo in which the last network has other tensors (None: lacks them)."""
    members = list(zoo())
    state = {n: t for n, t in {**members[-1].last, **change}.items() if t is not None}
    members[-1] = dataclasses.replace(members[-1], best=state)
    return Zoo(members)


def test_slice_o_times_i_leads_from_input_i_to_output_o() -> None:
    weight = torch.randn(4, 3, 2, 2)
    rows = slices_of([{"w": weight}], Place("w", (4, 3, 2, 2), 0.0))
    assert torch.equal(rows[2 * 3 + 1].view(2, 2), weight[2, 1])


@given(st.integers(20, 400), st.integers(0, 100))
@settings(max_examples=20)
def test_exactly_the_lowest_twentieth_goes(rows: int, seed: int) -> None:
    slices = torch.randn(rows, 9, generator=torch.Generator().manual_seed(seed))
    kept = prune(slices)
    norms = slices.norm(dim=1)
    gone = int(np.ceil(0.05 * (rows - 1)))  # below the linearly interpolated quantile
    assert len(kept) == rows - gone
    assert torch.equal(kept, slices[norms >= norms.sort().values[gone]])


def test_the_published_numbers_of_rows_come_out() -> None:
    # 80 networks: layers 0, 1, 7, 8, 13 and 14 of ResNet-20.
    for rows, kept in [(3840, 3648), (20480, 19456), (40960, 38912), (81920, 77824)]:
        assert len(prune(torch.randn(rows, 9))) == kept


def test_one_network_in_five_is_held_out() -> None:
    networks = zoo(10)
    slices = weight_data_set(networks, "best", anatomy(Small(), torch.zeros(2, 1, 8, 8)))
    stem = slices[0]
    held_out = torch.cat([m.best["stem.weight"].reshape(-1, 9) for m in networks.members[8:]])
    trained = torch.cat([m.best["stem.weight"].reshape(-1, 9) for m in networks.members[:8]])
    assert torch.equal(stem.held_out, prune(held_out))
    assert torch.equal(stem.train, prune(trained))


def test_layers_come_in_forward_order_with_relative_depths() -> None:
    found = [x.place for x in weight_data_set(zoo(), "last")]
    names = ["stem", "stage.0", "stage.1", "depthwise", "even"]
    assert [x.name for x in found] == [f"{name}.weight" for name in names]
    assert [x.depth for x in found] == [0, 0.25, 0.5, 0.75, 1]
    assert [x.depthwise for x in found] == [False, False, False, True, False]


def test_the_chosen_checkpoint_is_read() -> None:
    members = [dataclasses.replace(m, last={n: t + 1 for n, t in m.last.items()}) for m in zoo()]
    best, last = (weight_data_set(Zoo(members), which)[0].train for which in ("best", "last"))
    assert abs(float(last.mean() - best.mean()) - 1) < 0.2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stem.weight": None}, "of another architecture: .*`stem.weight`.*got none"),
        ({"stem.weight": torch.randn(4, 1, 5, 5)}, r"of another architecture.*\(4, 1, 5, 5\)"),
        ({"even.weight": torch.full((8, 4, 2, 2), torch.nan)}, "NaN or infinite.*`even.weight`"),
        ({"even.weight": torch.zeros(8, 4, 2, 2)}, "the same value everywhere in `even.weight`"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_what_cannot_be_learnt_from_is_refused_by_seed(
    change: dict[str, torch.Tensor | None], reason: str, known: bool
) -> None:
    expected = anatomy(Small(), torch.zeros(2, 1, 8, 8)) if known else None
    with pytest.raises(PluginError, match=f"seed 1000004.*{reason}"):
        weight_data_set(spoilt(change), "best", expected)


def test_too_few_networks_are_refused() -> None:
    members = zoo().members[:4]
    with pytest.raises(PluginError, match=r"4 trained networks \(6 diverged.*at least 5"):
        weight_data_set(Zoo(members, missing=6), "best")


def test_networks_without_kernels_are_refused() -> None:
    state = {"weight": torch.randn(3, 3, 1, 1)}
    members = [ZooMember(seed, state, state, 0.5) for seed in range(5)]
    with pytest.raises(PluginError, match="no kernel larger than 1 x 1"):
        weight_data_set(Zoo(members), "best")
