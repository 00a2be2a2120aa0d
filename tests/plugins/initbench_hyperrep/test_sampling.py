"""Samplers draw what they say, the released one to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from initbench_hyperrep.prior import Prior, fit_prior, ranks
from initbench_hyperrep.sampling import (
    best,
    kde_full,
    kde_independent,
    kde_shared,
    reconstruction,
    released_population,
)

from tests.plugins.initbench_hyperrep.support import golden


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_released_stream_is_that_of_the_authors() -> None:
    data = golden("kde_shared_stream")
    latents = data["Z"].numpy()
    top = best(data["Z"], data["accuracy"], 0.3)
    assert torch.equal(top, data["Z"][data["top_idx"]])
    for chosen, key in ((latents, "samples_all"), (top.numpy(), "samples_top30")):
        found = released_population(chosen, 25, int(data["seed"]), float(data["bandwidth"]))
        np.testing.assert_allclose(found, data[key].numpy(), rtol=0, atol=1e-12)


def test_the_best_are_those_at_or_above_the_interpolated_quantile() -> None:
    data = golden("kde_shared_stream")
    assert float(data["accuracy"].quantile(0.7)) == pytest.approx(float(data["threshold_q70"]))
    assert len(best(data["Z"], data["accuracy"], 1.0)) == len(data["Z"])


def test_independent_densities_mix_rows_and_shared_ones_do_not() -> None:
    latents = torch.arange(40.0)[:, None].expand(40, 30)
    independent = kde_independent(latents, 50, generator()).round()
    assert int(min(len(row.unique()) for row in independent)) > 10
    shared = kde_shared(latents, 50, generator())
    assert all(len(row.round().unique()) == 1 for row in shared)
    assert float((shared - shared[:, :1]).abs().max()) == pytest.approx(0, abs=1e-5)


def test_the_kernel_has_the_bandwidth() -> None:
    drawn = kde_independent(torch.zeros(5, 100), 200, generator(), bandwidth=0.5)
    assert float(drawn.std()) == pytest.approx(0.5, rel=0.02)
    offsets = kde_shared(torch.zeros(5, 3), 20_000, generator(), bandwidth=0.5)
    assert float(offsets.std()) == pytest.approx(0.5, rel=0.02)


def test_the_full_kernel_keeps_what_belongs_together() -> None:
    along = torch.randn(400, 1, generator=generator())
    latents = torch.cat([along, -along, 0 * along], dim=1)
    drawn = kde_full(latents, 5000, generator(1))
    torch.testing.assert_close(drawn[:, 0], -drawn[:, 1], rtol=0, atol=1e-4)
    factor = 400 ** (-1 / 7)
    assert float(drawn[:, 0].var()) == pytest.approx(float(along.var()) * (1 + factor**2), rel=0.1)


def test_reconstructions_are_training_latents() -> None:
    latents = torch.randn(10, 4)
    drawn = reconstruction(latents, 30, generator())
    assert all((latents == row).all(1).any() for row in drawn)


def test_ranks_go_from_worst_to_best() -> None:
    assert ranks(torch.tensor([0.3, 0.1, 0.9])).tolist() == [0.5, 0.0, 1.0]
    assert ranks(torch.tensor([0.5])).tolist() == [0.0]


def test_the_prior_learns_a_joint_density_that_depends_on_the_rank() -> None:
    """Latents on a line: the second is the first, and the first grows with the rank."""
    rank = torch.linspace(0, 1, 256)
    latents = torch.stack([2 * rank - 1, 2 * rank - 1], dim=1)
    latents = latents + 0.02 * torch.randn(latents.shape, generator=generator())
    prior = fit_prior((latents, rank), (latents[::4], rank[::4]), 800, generator())
    drawn = prior.sample(torch.tensor([0.9, 0.1]).repeat_interleave(50), generator())
    assert float((drawn[:, 0] - drawn[:, 1]).abs().mean()) < 0.1
    assert float(drawn[:50].mean()) == pytest.approx(0.8, abs=0.1)
    assert float(drawn[50:].mean()) == pytest.approx(-0.8, abs=0.1)
    again = Prior.restored(prior.state_dict())
    same = again.sample(torch.ones(3), generator(5))
    assert torch.equal(same, prior.sample(torch.ones(3), generator(5)))
