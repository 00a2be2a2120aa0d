from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from initbench.data import memory
from initbench.errors import UserError
from initbench.models.hypernetwork.model import Hypernetwork
from initbench.models.tracing import anatomy
from initbench.plugin.apply import apply
from initbench.plugin.initialiser import Batch
from initbench.plugin.registry import Registry
from tests.models.hypernetwork.support import SMALL_MLP, VARIANTS, built, hypernetwork, images


def test_images_have_the_size_that_the_main_network_needs() -> None:
    sized = [{"name": "zoo_cnn"}, {"name": "resnet50"}, SMALL_MLP]
    models = [Hypernetwork(Hypernetwork.Config(main=main)) for main in sized]
    assert [model.image_size() for model in models] == [28, 224, None]


def test_what_does_not_fit_into_memory_is_refused_before_it_is_allocated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Weights and biases of the output layers: (36 * 12 + 2 * 12 * 12 + 12 * 10) * (10^7 + 1), and
    # four embeddings of 10^7, and the gradients of all.
    config = {"main": SMALL_MLP, "embedding": {"size": 10_000_000}}
    parameters = 840 * 10_000_001 + 4 * 10_000_000
    monkeypatch.setattr(memory, "available_bytes", lambda device: 3e9)
    with pytest.raises(UserError) as caught:
        built(config)
    message = str(caught.value)
    assert f"{parameters:,} parameters" in message
    assert f"{8 * parameters / 1e9:,.2f} GB" in message
    assert "3.00 GB are available" in message
    assert "smaller `embedding.size`" in message


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_and_memory_are_said_without_building_the_network(variant: str) -> None:
    config, channels, size = VARIANTS[variant]
    model = Hypernetwork(Hypernetwork.Config.model_validate(config))
    generator = hypernetwork(variant).generator
    parameters = sum(p.numel() for p in generator.parameters())
    assert model.remark(channels, size, 10) == (
        f"{parameters:,} parameters generate `{config['main']['name']}`, "
        f"{8 * parameters / 1e6:,.1f} MB a trial with their gradients"
    )


def test_what_fits_is_built_where_nobody_knows_how_much_memory_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda device: None)
    assert built({"main": SMALL_MLP}) is not None


def test_what_cannot_be_generated_is_refused_when_the_network_is_built() -> None:
    with pytest.raises(UserError, match="layer `norm` of `cifar_resnet` cannot be generated"):
        hypernetwork("batch_norm", layers=["norm"])


def test_the_same_seed_builds_the_same_hypernetwork() -> None:
    one, two, other = (hypernetwork("chunked", seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(
        one["generator.output_layer.weight"], other["generator.output_layer.weight"]
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_initialisers_that_know_nothing_of_hypernetworks_set_them(variant: str) -> None:
    registry = Registry.installed()
    batch = Batch(images(variant), torch.zeros(4, dtype=torch.int64))
    for name in ("default", "he", "delta_orthogonal", "truncated_normal", "lsuv"):
        network = hypernetwork(variant)
        applied = apply(
            registry.initialiser(name).thing, network, anatomy(network), seed=1, batch=batch
        )
        assert applied.notes == []


def test_the_model_is_importable_without_torch() -> None:
    code = (
        "import sys, initbench.models.hypernetwork.model, initbench_hyperfan.hyperfan, "
        "initbench_hyperfan.baselines, initbench_hyperfan.oneshot; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
