"""Similarity is that of the published code, and of its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from initbench.data.dataset import ImageSplits, Split
from initbench.data.resident import ResidentData
from initbench.probes.similarity import Similarity
from initbench.training import evaluation
from tests.probes.looking import Population, Subject
from tests.training.networks import data, network


class Recalling(nn.Module):
    """Says of each image what it was given for it; an image is its own number."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("logits", logits)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        numbers = (images * 255).round().long().flatten(1)
        logits: torch.Tensor = self.logits[256 * numbers[:, 0] + numbers[:, 1]]
        return logits


def recalled(logits: torch.Tensor) -> Population:
    """Networks (float64) whose logits (members, images, classes) are known."""
    count = logits.shape[1]
    numbers = torch.arange(count)
    images = torch.stack([numbers // 256, numbers % 256], dim=1).to(torch.uint8).view(-1, 2, 1, 1)
    split = Split(images, torch.zeros(count, dtype=torch.int64), numbers)
    splits = ImageSplits(split, split, split, logits.shape[2], (0.0, 0.0), (1.0, 1.0))
    subjects = [Subject({"best": Recalling(member)}) for member in logits]
    return Population(subjects, ResidentData.of(splits))


@pytest.mark.parametrize("pixels", [1_000_000, 2 * 7])
def test_matrices_are_those_of_the_published_code(
    monkeypatch: pytest.MonkeyPatch, pixels: int
) -> None:
    monkeypatch.setattr(evaluation, "EVALUATION_PIXELS", pixels)
    path = Path(__file__).parent / "ensemble_metrics.npz"
    with np.load(path, allow_pickle=False) as file:
        golden: dict[str, Any] = {name: torch.from_numpy(np.array(file[name])) for name in file}
    seen = Similarity().observe(recalled(golden["logits"]))
    for name, published in (
        ("agreement", "agreement"),
        ("flattened", "cosine_flat"),
        ("per_image", "cosine_per_sample_mean"),
    ):
        torch.testing.assert_close(seen.tensors[name], golden[published], rtol=0, atol=1e-12)


def test_matrices_are_those_of_the_definition() -> None:
    subjects = [Subject({"best": network(seed)}) for seed in range(3)]
    images = data()
    seen = Similarity().observe(Population(subjects, images)).tensors
    pixels, _ = images.batch("test", torch.arange(20))
    with torch.no_grad():
        logits = [network(seed).eval()(pixels).double().numpy() for seed in range(3)]
    for i in range(3):
        for j in range(3):
            a, b = logits[i], logits[j]
            agreement = np.mean([x.argmax() == y.argmax() for x, y in zip(a, b, strict=True)])
            assert seen["agreement"][i, j].item() == pytest.approx(agreement)
            flat = a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b)
            assert seen["flattened"][i, j].item() == pytest.approx(flat)
            each = [
                x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b, strict=True)
            ]
            assert seen["per_image"][i, j].item() == pytest.approx(np.mean(each))


def test_a_trial_without_network_has_no_similarity_and_spoils_no_other() -> None:
    networks = [Subject({"best": network(0)}), Subject({}), Subject({"best": network(2)})]
    seen = Similarity().observe(Population(networks)).tensors
    alone = Similarity().observe(Population([networks[0], networks[2]])).tensors
    for name in ("agreement", "flattened", "per_image"):
        assert seen[name][1].isnan().all()
        assert seen[name][:, 1].isnan().all()
        assert torch.equal(seen[name][0::2, 0::2], alone[name])
