"""Stacked optimisers move each row as torch's own would move it alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from initbench.training.recipe import Optimiser
from initbench.training.stacked_optimiser import clip, stacked_optimiser

_TORCH = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}

_below_one = st.floats(0, 0.999)
_decay = st.sampled_from([0.0, 1e-4, 0.3])
_sgd = st.builds(
    lambda momentum, nesterov, decay: {
        "name": "sgd",
        "momentum": momentum,
        "nesterov": nesterov and momentum > 0,
        "weight_decay": decay,
    },
    st.one_of(st.just(0.0), _below_one),
    st.booleans(),
    _decay,
)
_adam = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["adam", "adamw"]),
        "betas": st.tuples(_below_one, _below_one),
        "eps": st.sampled_from([1e-8, 1e-3]),
        "weight_decay": _decay,
    }
)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    choice=st.one_of(_sgd, _adam),
    rates=st.lists(st.floats(1e-4, 1.0), min_size=1, max_size=4),
    largest_norm=st.one_of(st.none(), st.floats(0.1, 10)),
    removed=st.booleans(),
)
def test_each_row_moves_as_torchs_optimiser_would_move_it(
    choice: dict[str, Any], rates: list[float], largest_norm: float | None, removed: bool
) -> None:
    """Rates change by member and by step; after half of the steps the first member may leave."""
    members, draws = len(rates), torch.Generator().manual_seed(len(rates))
    weights = torch.randn(members, 7, generator=draws, dtype=torch.float64)
    stacked = stacked_optimiser(
        weights, TypeAdapter(Optimiser).validate_python({"lr": 1.0, **choice})
    )
    arguments = {name: value for name, value in choice.items() if name != "name"}
    alone = [row.clone().requires_grad_() for row in weights]
    optimisers = [_TORCH[choice["name"]]([row], lr=1.0, **arguments) for row in alone]
    for step in range(6):
        if step == 3 and removed and members > 1:
            staying = torch.arange(1, len(weights))
            weights = weights.index_select(0, staying)
            stacked.keep(staying)
            alone, optimisers, rates = alone[1:], optimisers[1:], rates[1:]
        now = [rate / (step + 1) for rate in rates]
        gradients = 3 * torch.randn(weights.shape, generator=draws, dtype=torch.float64)
        for row, gradient, optimiser, rate in zip(alone, gradients, optimisers, now, strict=True):
            row.grad = gradient.clone()
            if largest_norm is not None:
                torch.nn.utils.clip_grad_norm_([row], largest_norm)
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()
        if largest_norm is not None:
            clip(gradients, largest_norm)
        stacked.rates.copy_(torch.tensor(now, dtype=torch.float64)[:, None])
        stacked.step(weights, gradients)
    for moved, row in zip(weights, alone, strict=True):
        torch.testing.assert_close(moved, row.detach(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_rows_that_are_not_finite_harm_no_others(name: str) -> None:
    settings = TypeAdapter(Optimiser).validate_python(
        {"name": name, "lr": 0.1, **({"momentum": 0.9} if name == "sgd" else {})}
    )
    gradients = torch.ones(3, 5)
    gradients[1] = torch.nan
    together, apart = torch.ones(3, 5), torch.ones(2, 5)
    for weights, own in ((together, gradients.clone()), (apart, gradients[[0, 2]])):
        clip(own, 1.0)
        optimiser = stacked_optimiser(weights, settings)
        optimiser.rates.fill_(0.1)
        optimiser.step(weights, own)
    assert torch.equal(together[[0, 2]], apart)
    assert together[1].isnan().all()


def test_clipping_leaves_short_gradients_alone() -> None:
    gradients = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    clip(gradients, 1.0)
    torch.testing.assert_close(gradients, torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]]))
