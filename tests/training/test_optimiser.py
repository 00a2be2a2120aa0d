"""Optimisers are torch's own, but for the time that its compiler takes to import."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from initbench.training.optimiser import build_optimiser
from initbench.training.recipe import SGD, Adam, AdamW, Optimiser

KINDS: list[tuple[Optimiser, type[torch.optim.Optimizer]]] = [
    (SGD(name="sgd", lr=0.1, momentum=0.9, weight_decay=0.01), torch.optim.SGD),
    (Adam(name="adam", lr=0.01), torch.optim.Adam),
    (AdamW(name="adamw", lr=0.01), torch.optim.AdamW),
]

STEP = """\
import sys, torch
from initbench.training.optimiser import build_optimiser
from initbench.training.recipe import SGD
network = torch.nn.Linear(2, 2)
optimiser = build_optimiser(network, SGD(name="sgd", lr=0.1))
scaler = torch.amp.GradScaler(enabled=False)
optimiser.zero_grad()
scaler.scale(network(torch.ones(3, 2)).sum()).backward()
scaler.step(optimiser)
scaler.update()
optimiser.load_state_dict(optimiser.state_dict())
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


@pytest.mark.parametrize(("settings", "kind"), KINDS)
def test_steps_are_those_of_torch(settings: Optimiser, kind: type[torch.optim.Optimizer]) -> None:
    def trained(ours: bool) -> torch.Tensor:
        torch.manual_seed(0)
        network, images = torch.nn.Linear(5, 3), torch.randn(4, 8, 5)

        def new() -> torch.optim.Optimizer:
            if ours:
                return build_optimiser(network, settings)
            given = settings.model_dump(exclude={"name"})
            return kind(network.parameters(), **given, fused=True)

        optimiser = new()
        for i, batch in enumerate(images):
            optimiser.zero_grad()
            network(batch).square().sum().backward()
            optimiser.step()
            if i == 1:  # as after a kill
                state, optimiser = optimiser.state_dict(), new()
                optimiser.load_state_dict(state)
        assert isinstance(optimiser, kind)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    assert torch.equal(trained(ours=True), trained(ours=False))


def test_a_step_needs_no_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEP], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
