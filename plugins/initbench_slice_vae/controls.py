"""Controls: what a slice model is to be better than, without any model.

They answer why local methods do not help (Harder et al. 2023, section 5). If true slices, drawn
again, do not help either, the reason is not the quality of the model, but that slices do not fit
together.

| control | keeps | destroys |
| --- | --- | --- |
| resampled | the distribution of slices of each layer | what slices of a network share |
| permuted | the distribution over all layers of a kernel size | that, and what layer it was |
| Gaussian | mean and covariance of each layer's slices | that, and all else |

Deviations: none; they are not in the paper.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from initbench_slices.fitted import Tensors
from initbench_slices.initialiser import Learnt, LocalConfig, LocalInitialiser
from initbench_slices.slices import LayerSlices

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class _TrainedSlices(LocalInitialiser[LocalConfig]):
    """Keeps the whole weight data set: every slice of every layer."""

    version = "1"
    Config = LocalConfig

    def learn(
        self, layers: Sequence[LayerSlices], generator: torch.Generator, device: str
    ) -> Learnt:
        import torch

        ends = torch.tensor([len(x.train) for x in layers]).cumsum(0)
        rows = torch.cat([x.train for x in layers])
        return Learnt({"slices": rows, "ends": ends}, [{} for _ in layers])

    def sample(
        self,
        tensors: Tensors,
        kernel: int,
        wanted: Sequence[tuple[int, int]],
        generator: torch.Generator,
    ) -> list[Tensor]:
        import torch

        ends = tensors["ends"].tolist()
        chosen = []
        for layer, count in wanted:
            first, last = self.range(ends, layer)
            rows = torch.randint(first, last, (count,), generator=generator)
            chosen.append(tensors["slices"][rows.to(tensors["slices"].device)])
        return chosen

    @abstractmethod
    def range(self, ends: Sequence[int], layer: int) -> tuple[int, int]:
        """Return the first row that a layer draws from, and the one after the last."""


class Resampled(_TrainedSlices):
    """Draws every slice from the trained slices of its layer, of any network, with replacement."""

    name = "slice_resampled"
    summary = "control: each kernel slice is a trained one of its layer, of any network of the zoo"
    method = "trained slices of the layer"

    def range(self, ends: Sequence[int], layer: int) -> tuple[int, int]:
        return (ends[layer - 1] if layer else 0, ends[layer])


class Permuted(_TrainedSlices):
    """Draws every slice from the trained slices of all layers with kernels of its size."""

    name = "slice_permuted"
    summary = "control: each kernel slice is a trained one of any layer, of any network of the zoo"
    method = "trained slices of all layers"

    def range(self, ends: Sequence[int], layer: int) -> tuple[int, int]:
        return (0, ends[-1])


class Gaussian(LocalInitialiser[LocalConfig]):
    """Draws every slice from the normal with mean and covariance of the slices of its layer."""

    name = "slice_gaussian"
    summary = "control: each kernel slice normal, with mean and covariance of its layer's slices"
    version = "1"
    Config = LocalConfig
    method = "normal with mean and covariance of the layer's slices"

    def learn(
        self, layers: Sequence[LayerSlices], generator: torch.Generator, device: str
    ) -> Learnt:
        import torch

        means = torch.stack([x.train.mean(0) for x in layers])
        covariances = torch.stack([x.train.double().T.cov() for x in layers])
        # The symmetric root: a Cholesky factor would need full rank.
        values, vectors = torch.linalg.eigh(covariances)
        roots = (vectors * values.clamp_min(0).sqrt()[:, None]) @ vectors.mT
        return Learnt({"mean": means, "root": roots.float()}, [{} for _ in layers])

    def sample(
        self,
        tensors: Tensors,
        kernel: int,
        wanted: Sequence[tuple[int, int]],
        generator: torch.Generator,
    ) -> list[Tensor]:
        import torch

        means, roots = tensors["mean"], tensors["root"]
        return [
            means[i] + torch.randn(n, kernel**2, generator=generator).to(roots.device) @ roots[i]
            for i, n in wanted
        ]
