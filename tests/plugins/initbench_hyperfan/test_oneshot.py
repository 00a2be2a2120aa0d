from __future__ import annotations

import pytest
import torch
from torch import nn

from initbench.api import Treatment
from initbench.models.mlp import MLP
from initbench.models.tracing import anatomy
from initbench.plugin.apply import apply
from tests.plugins.initbench_hyperfan.support import initialise, initialiser, mlp


def network() -> nn.Module:
    return MLP(MLP.Config(widths=[300, 100], activation="relu")).build(1, 28, 10)


@pytest.mark.parametrize(("mode", "fans"), [("in", [784, 300]), ("out", [300, 100])])
def test_weights_have_the_classical_variance(mode: str, fans: list[int]) -> None:
    ratios = []
    for seed in range(8):
        main = network()
        initialise(main, initialiser("hypernet_oneshot", mode=mode), seed)
        for layer, fan in zip((main.linear1, main.linear2), fans, strict=True):
            ratios.append(layer.weight.var().item() * fan / 2)
    assert torch.tensor(ratios).mean().item() == pytest.approx(1, rel=0.1)


def test_memory_is_the_same_for_any_tensor_and_the_weights_are_those_of_one_draw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from initbench_hyperfan import oneshot

    whole, parts = network(), network()
    initialise(whole, initialiser("hypernet_oneshot"), seed=3)
    monkeypatch.setattr(oneshot, "_AT_ONCE", 50 * 1000)
    initialise(parts, initialiser("hypernet_oneshot"), seed=3)
    torch.testing.assert_close(whole.linear1.weight, parts.linear1.weight)


def test_every_parameter_is_accounted_for() -> None:
    main = network()
    applied = apply(initialiser("hypernet_oneshot"), main, anatomy(main), seed=1)
    assert applied.notes == []
    assert applied.coverage.share(Treatment.UNTOUCHED) == 0
    assert torch.count_nonzero(main.linear1.bias) == 0


def test_hypernetworks_are_refused() -> None:
    found = initialiser("hypernet_oneshot").supports(mlp([8]).anatomy())
    assert "generated already" in found.reason
