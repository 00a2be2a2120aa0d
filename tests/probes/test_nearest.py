from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from initbench.plugin.sources import Zoo, ZooMember
from initbench.probes.nearest import NearestNeighbour
from tests.probes.looking import alone
from tests.probes.test_start_up import values
from tests.training.networks import network


def member(seed: int) -> ZooMember:
    best, last = network(seed).state_dict(), network(1000 + seed).state_dict()
    return ZooMember(seed=seed, best=best, last=last, validation_accuracy=0.5)


ZOO = Zoo([member(seed) for seed in range(4)])


def flat(tensor: torch.Tensor) -> np.ndarray:
    return tensor.double().numpy().ravel()


def test_distances_are_those_of_a_search_through_the_whole_zoo() -> None:
    net = network(7)
    seen = NearestNeighbour().observe(alone(initial=net, zoo=ZOO))
    for name in ("0", "3"):
        key = f"{name}.weight"
        start = flat(net.state_dict()[key])
        known = [flat(state[key]) for m in ZOO for state in (m.best, m.last)]
        assert values(seen, "distance")[name] == pytest.approx(
            min(np.linalg.norm(start - other) for other in known)
        )
        between = [
            min(
                np.linalg.norm(flat(m.best[key]) - flat(state[key]))
                for other in ZOO
                if other is not m
                for state in (other.best, other.last)
            )
            for m in ZOO
        ]
        assert values(seen, "between")[name] == pytest.approx(np.mean(between))
        norms = [np.linalg.norm(flat(m.best[key])) for m in ZOO]
        assert values(seen, "norm")[name] == pytest.approx(np.sqrt(np.mean(np.square(norms))))


@pytest.mark.parametrize("which", ["best", "last"])
def test_a_copy_has_no_distance(which: str) -> None:
    net = network()
    net.load_state_dict(getattr(ZOO.members[2], which))
    seen = NearestNeighbour().observe(alone(initial=net, zoo=ZOO))
    assert set(values(seen, "distance").values()) == {0.0}


def test_layers_that_the_zoo_does_not_have_are_left_out() -> None:
    wide = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(144, 9), nn.Linear(9, 3)
    )
    seen = NearestNeighbour().observe(alone(initial=wide, zoo=ZOO))
    assert list(values(seen, "distance")) == ["0"]


@pytest.mark.parametrize("zoo", [None, Zoo([]), Zoo([member(0)])])
def test_without_a_zoo_there_is_nothing_to_find(zoo: Zoo | None) -> None:
    seen = NearestNeighbour().observe(alone(initial=network(), zoo=zoo))
    assert seen.tensors == {}
    assert "learnt from no zoo" in seen.description["notes"][0]
