"""Small zoos, targets and networks for the tests of all local initialisers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from initbench.api import (
    Artifact,
    CoverageMap,
    FitInputs,
    Initialisation,
    Initialiser,
    Target,
    Zoo,
    ZooMember,
)
from initbench.models.tracing import anatomy


class Small(nn.Module):
    """Kernels of 3 x 3 (a stem, a stage, a depthwise one), 2 x 2, 1 x 1, 1 x 3, and a head."""

    def __init__(self, width: int = 4, depth: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.stage = nn.Sequential(*(nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)))
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.even = nn.Conv2d(width, 2 * width, 2)
        self.mix = nn.Conv2d(2 * width, width, 1)
        self.flat = nn.Conv2d(width, width, (1, 3))
        self.head = nn.Linear(width, 3)
        self.scale = nn.Parameter(torch.full((3,), 1.5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.depthwise(self.stage(self.norm(self.stem(x))).relu()).relu()
        x = self.flat(self.mix(self.even(x)).relu())
        return self.head(x.mean((2, 3))) * self.scale


def zoo(count: int = 5, std: float = 0.3, network: type[nn.Module] = Small) -> Zoo:
    """Return networks whose weights are normal, with zeros in the middle of each kernel."""
    with torch.random.fork_rng():
        built = network().state_dict()
    members = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        state = {
            name: torch.randn(tensor.shape, generator=generator) * std if tensor.ndim else tensor
            for name, tensor in built.items()
        }
        for tensor in state.values():
            if tensor.ndim == 4 and tensor.shape[2:] == (3, 3):
                tensor[:, :, 1, 1] = 0
        members.append(ZooMember(1_000_000 + seed, state, state, 0.5))
    return Zoo(members)


def target(network: nn.Module) -> Target:
    return Target("small", {}, "digits", {}, {}, 3, anatomy(network, torch.zeros(2, 1, 8, 8)))


def fit(initialiser: Initialiser, networks: Zoo | None = None, seed: int = 0) -> Artifact:
    """Fit `initialiser` as the harness does, by default to a small zoo."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        network = Small()
    inputs = FitInputs(target(network), (zoo() if networks is None else networks,), generator)
    return initialiser.fit(inputs)


def initialise(
    network: nn.Module, initialiser: Initialiser, artifact: Artifact | None, seed: int = 0
) -> CoverageMap:
    """Initialise `network` as the harness does."""
    job = Initialisation(
        anatomy(network, torch.zeros(2, 1, 8, 8)),
        torch.Generator().manual_seed(seed),
        artifact=artifact,
    )
    return initialiser.initialise(network, job)


def golden(path: str) -> dict[str, Tensor]:
    return {name: torch.tensor(array) for name, array in np.load(path).items()}


def close(ours: Tensor, theirs: Tensor, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Compare values in the order of their memory, whatever the shapes."""
    torch.testing.assert_close(
        ours.flatten(), theirs.flatten().to(ours.dtype), rtol=rtol, atol=atol
    )
