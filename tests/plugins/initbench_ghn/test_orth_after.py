"""`orth` after an initialiser that learns: it is fitted as ever, and then made orthogonal."""

from __future__ import annotations

import torch
from initbench_ghn.orth import Orth, OrthConfig
from initbench_slice_vae.initialiser import SliceVAEInitialiser

from tests.plugins.initbench_slices.support import Small, fit, initialise

SHORT = {"scale": 0.01, "least_steps": 1}


def test_a_slice_vae_is_fitted_and_its_deep_layers_become_orthogonal() -> None:
    alone = SliceVAEInitialiser(SliceVAEInitialiser.Config(**SHORT))  # type: ignore[arg-type]
    method = Orth(OrthConfig(base="slice_vae", base_config=SHORT, first_layer=3, beta=0))
    artifact = fit(method)
    expected = fit(alone)
    assert artifact.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(x, expected.tensors[name]) for name, x in artifact.tensors.items())
    network, plain = Small(), Small()
    entries = dict(initialise(network, method, artifact))
    initialise(plain, alone, expected)
    assert torch.equal(network.stem.weight, plain.stem.weight)
    assert not torch.equal(network.stage[1].weight, plain.stage[1].weight)
    matrix = network.stage[1].weight.detach().reshape(4, -1)  # type: ignore[operator]
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(4), rtol=0, atol=1e-5)
    assert entries["stage.1.weight"].reason.endswith("; then orthogonal by QR")
    assert torch.equal(network.head.weight, plain.head.weight)  # the last one stays
