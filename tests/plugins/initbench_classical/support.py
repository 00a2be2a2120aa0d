"""What the tests of all classical initialisers share."""

from __future__ import annotations

import functools

import torch
from initbench_classical.default import Default
from initbench_classical.lsuv import LSUV
from initbench_classical.orthogonal import DeltaOrthogonal, Orthogonal
from initbench_classical.truncated_normal import TruncatedNormal
from initbench_classical.variance_scaling import He, LeCun, Xavier
from torch import Tensor, nn

from initbench.api import Batch, CoverageMap, Initialisation, Initialiser
from initbench.models.tracing import anatomy

INITIALISERS = (
    Default,
    Xavier,
    He,
    LeCun,
    Orthogonal,
    DeltaOrthogonal,
    TruncatedNormal,
    LSUV,
)


def initialise(
    network: nn.Module, initialiser: Initialiser, seed: int = 0, images: Tensor | None = None
) -> CoverageMap:
    """Run `initialiser` as the harness does."""
    batch = None if images is None else Batch(images, torch.zeros(len(images)))
    generator = torch.Generator().manual_seed(seed)
    return initialiser.initialise(network, Initialisation(anatomy(network), generator, batch))


@functools.cache
def digits() -> Tensor:
    """Return 256 real handwritten digits as a network sees them: (256, 1, 8, 8), standardised."""
    from sklearn.datasets import load_digits

    images = torch.tensor(load_digits().images[:256], dtype=torch.float32).unsqueeze(1) / 16
    return (images - images.mean()) / images.std()


class Mixed(nn.Module):
    """A network for `digits` with every kind of parameter; one is grouped, some are tied."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.grouped = nn.Conv2d(8, 16, 3, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(16, 8, 2)
        self.place = nn.Embedding(9, 8)
        self.scale = nn.Parameter(torch.full((8,), 1.5))
        self.slope = nn.PReLU()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.wide = nn.Linear(8, 16)
        self.drop = nn.Dropout(0.5)
        self.narrow = nn.Linear(16, 8)
        self.again = nn.Linear(16, 8)
        self.again.weight = self.narrow.weight
        self.last = nn.LayerNorm(8)
        self.head = nn.Linear(8, 10)
        self.norm.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = self.slope(self.up(torch.tanh(self.grouped(x)))) * self.scale.view(-1, 1, 1)
        x = x.mean(3).transpose(1, 2) + self.place.weight  # (images, 9, 8)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        wide = self.drop(torch.nn.functional.gelu(self.wide(x)))
        x = self.last(x + self.narrow(wide) + self.again(wide))
        return self.head(x.mean(1))
