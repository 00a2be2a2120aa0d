from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from initbench.probes.weights import (
    Travel,
    Weights,
    _tall,
    correlation_deviation,
    mean_correlation,
)
from tests.probes.looking import alone
from tests.probes.test_start_up import values
from tests.training.networks import network


def rows(count: int, elements: int, seed: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(count, elements, generator=draws, dtype=torch.float64) + 3


@given(st.integers(2, 9), st.integers(2, 12), st.integers(0, 99))
def test_the_mean_correlation_is_that_of_all_pairs(count: int, elements: int, seed: int) -> None:
    weight = rows(count, elements, seed)
    pairs = [abs(np.corrcoef(weight[i], weight[j])[0, 1]) for i in range(count) for j in range(i)]
    assert mean_correlation(weight) == pytest.approx(np.mean(pairs), abs=1e-9)


@given(st.integers(2, 9), st.integers(2, 12), st.integers(0, 99))
def test_the_deviation_is_that_of_the_whole_matrix(count: int, elements: int, seed: int) -> None:
    weight = rows(count, elements, seed)
    expected = np.std(np.corrcoef(weight.numpy()), ddof=1)
    assert correlation_deviation(weight) == pytest.approx(expected, abs=1e-7)


def test_filters_of_many_blocks_are_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = rows(9, 5, 0)
    expected = mean_correlation(weight)
    monkeypatch.setattr("initbench.probes.weights._ROWS_AT_ONCE", 2)
    assert mean_correlation(weight) == pytest.approx(expected)


def test_filters_without_variance_are_left_out() -> None:
    weight = rows(4, 6, 0)
    padded = torch.cat([weight, torch.full((2, 6), 0.1, dtype=torch.float64)])
    assert mean_correlation(padded) == pytest.approx(mean_correlation(weight))
    assert correlation_deviation(padded) == pytest.approx(correlation_deviation(weight))
    assert mean_correlation(torch.ones(5, 3, dtype=torch.float64)) is None
    assert mean_correlation(rows(5, 1, 0)) is None
    assert correlation_deviation(rows(1, 5, 0)) is None


@pytest.mark.parametrize("case", ["conv_tall", "lin_tall", "lin_wide", "square"])
def test_the_deviation_is_that_of_the_released_code(case: str) -> None:
    golden = load_file(Path(__file__).parent / "correlation.safetensors")
    deviation = correlation_deviation(_tall(golden[f"{case}.in"].double()))
    assert deviation == pytest.approx(float(golden[f"{case}.corr_std"]), rel=1e-5)


def test_norms_and_correlations_by_layer() -> None:
    net = network()
    seen = Weights().observe(alone(initial=net))
    conv = net[0].weight.detach().double().flatten(1)
    head = net[3].weight.detach().double()
    assert values(seen, "norm") == pytest.approx(
        {"0": float(np.linalg.norm(conv)), "3": float(np.linalg.norm(head))}
    )
    assert values(seen, "correlation") == pytest.approx(
        {"0": mean_correlation(conv), "3": mean_correlation(head)}
    )
    assert values(seen, "correlation_deviation") == pytest.approx(
        {"0": correlation_deviation(conv.T), "3": correlation_deviation(head.T)}
    )


def test_the_checkpoint_asked_for_is_looked_at() -> None:
    first, second = network(0), network(1)
    population = alone(initial=first, best=second)
    assert values(Weights("best").observe(population), "norm") == values(
        Weights().observe(alone(initial=second)), "norm"
    )
    assert Weights("last").observe(population).tensors == {}


def test_travel_is_the_distance_from_the_start() -> None:
    start, end = network(0), network(1)
    seen = Travel().observe(alone(initial=start, last=end))

    def flat(net: nn.Module) -> np.ndarray:
        return np.concatenate([p.detach().double().numpy().ravel() for p in net.parameters()])

    for name in ("0", "3"):
        key = f"{name}.weight"
        a, b = start.state_dict()[key].double(), end.state_dict()[key].double()
        assert values(seen, "distance")[name] == pytest.approx(float((a - b).norm()))
        assert values(seen, "start")[name] == pytest.approx(float(a.norm()))
    assert float(seen.tensors["total_distance"]) == pytest.approx(
        np.linalg.norm(flat(end) - flat(start))
    )
    assert float(seen.tensors["total_start"]) == pytest.approx(np.linalg.norm(flat(start)))


def test_who_did_not_arrive_did_not_travel() -> None:
    assert Travel().observe(alone(initial=network())).tensors == {}
    assert Travel("best").observe(alone(best=network())).tensors == {}


def test_generated_weights_are_those_of_the_main_network() -> None:
    from initbench.models.hypernetwork.config import HypernetworkConfig
    from initbench.models.hypernetwork.model import Hypernetwork

    main = {"name": "mlp", "widths": [5], "activation": "relu"}
    net = Hypernetwork(HypernetworkConfig(main=main)).build(1, 6, 3)
    norms = values(Weights().observe(alone(initial=net)), "norm")
    generated = [t for t in net.generated().values() if t.dim() == 2]
    assert list(norms.values()) == pytest.approx(
        [float(t.detach().double().norm()) for t in generated]
    )
