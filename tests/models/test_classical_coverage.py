"""The classical initialisers set every kind of network and account for every parameter."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from initbench.models.tracing import anatomy
from initbench.plugin.apply import apply
from initbench.plugin.coverage import Treatment
from initbench.plugin.initialiser import Batch
from initbench.plugin.registry import Registry
from tests.models.building import build, model_of

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed"
)

CLASSICAL = [
    entry.name
    for entry in Registry.installed().entries("initialiser")
    if entry.module.startswith("initbench_classical")
]


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("all_cnn_c", {}),
        ("cifar_resnet", {"shortcut": "B"}),
        ("mlp", {}),
        ("mobilenet_v1", {"stem": "cifar", "width": 0.25}),
        ("zoo_cnn", {}),
        ("torchvision/shufflenet_v2_x0_5", {"image_size": 32}),
        pytest.param("timm/convnext_atto", {"image_size": 32}, marks=needs_timm),
        pytest.param("timm/test_vit", {"image_size": 32}, marks=needs_timm),
        pytest.param("timm/mobilevit_xxs", {"image_size": 64}, marks=needs_timm),
    ],
)
def test_every_classical_initialiser_sets_all_weights_and_accounts_for_the_rest(
    name: str, config: dict[str, object]
) -> None:
    registry = Registry.installed()
    model = model_of(name, **config)
    size = model.image_size() or 32
    images = torch.randn(4, 1, size, size, generator=torch.Generator().manual_seed(0))
    assert len(CLASSICAL) == 9
    torch.manual_seed(0)
    network = build(model, channels=1, classes=7)
    found = anatomy(network, images)
    for seed, initialiser in enumerate(CLASSICAL):
        applied = apply(
            registry.initialiser(initialiser).thing,
            network,
            found,
            seed=seed,
            batch=Batch(images, torch.arange(4)),
        )
        treated = {name: entry.treatment for name, entry in applied.coverage}
        assert treated.keys() == dict(network.named_parameters()).keys()
        for layer in found.weight_layers():
            assert treated[str(layer.weight)] in (Treatment.GENERATED, Treatment.FALLBACK)
        assert applied.notes == []
