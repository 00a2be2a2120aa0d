"""The autoencoder and the head compute what the authors' code computes."""

from __future__ import annotations

import pytest
import torch
from initbench_hyperrep.contrast import ProjectionHead
from initbench_hyperrep.network import Autoencoder, Norm, Sizes

from tests.plugins.initbench_hyperrep.support import (
    ZOOS,
    golden,
    golden_autoencoder,
    part,
    zoo_table,
)

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.mark.parametrize("name", ZOOS)
@torch.no_grad()
def test_latents_and_decoded_vectors_are_those_of_the_authors(name: str) -> None:
    data, autoencoder = golden(f"{name}_zoo_small"), golden_autoencoder(name)
    latents, decoded = autoencoder(data["w"])
    torch.testing.assert_close(latents, data["z"], **TOLERANCE)
    torch.testing.assert_close(decoded, data["y"], **TOLERANCE)
    embedded = autoencoder.encoder.embedded(data["w"][:2])
    torch.testing.assert_close(embedded, data["token_embeddings_first2"], **TOLERANCE)


@pytest.mark.parametrize("name", ZOOS)
@torch.no_grad()
def test_the_projection_head_is_that_of_the_authors(name: str) -> None:
    data = golden(f"{name}_zoo_small")
    head = ProjectionHead(16, 4, 24, 10)
    state = part(f"{name}_zoo_small", "head/layers.")
    head.load_state_dict(state)
    torch.testing.assert_close(head.train()(data["z"][:6]), data["head_out_train_zi"], **TOLERANCE)


def test_the_norm_divides_by_the_unbiased_deviation() -> None:
    row = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(Norm(3)(row), torch.tensor([[-1.0, 0.0, 1.0]]))
    assert torch.equal(Norm(3)(torch.ones(1, 3)), torch.zeros(1, 3))


def test_the_paper_sizes_have_the_paper_parameters() -> None:
    """The expansion of 700 numbers to 48 tokens of 800 alone has 26.9 million weights."""
    with torch.device("meta"):
        paper = Autoencoder(zoo_table(), Sizes(800, 900, 2, 4, 700))
    count = sum(x.numel() for x in paper.decoder.expansion.parameters())
    assert count == 701 * 48 * 800


def test_dropout_is_off_where_a_fit_is_judged() -> None:
    autoencoder, rows = golden_autoencoder("mnist"), golden("mnist_zoo_small")["w"]
    assert torch.equal(autoencoder(rows)[1], autoencoder(rows)[1])
    autoencoder.train()
    assert not torch.equal(autoencoder(rows)[1], autoencoder(rows)[1])
