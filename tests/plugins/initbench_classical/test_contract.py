"""What every classical initialiser promises."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch

from initbench.api import Initialiser, LayerKind, Treatment
from initbench.models.tracing import anatomy
from tests.plugins.initbench_classical.support import (
    INITIALISERS,
    Mixed,
    digits,
    initialise,
)

each_initialiser = pytest.mark.parametrize(
    "initialiser", [cls(cls.Config()) for cls in INITIALISERS], ids=lambda x: x.name
)


def weights_after(
    initialiser: Initialiser, seed: int, network: torch.nn.Module | None = None
) -> dict[str, torch.Tensor]:
    torch.manual_seed(99)
    network = network or Mixed()
    initialise(network, initialiser, seed, digits())
    return dict(network.named_parameters())


@each_initialiser
def test_same_seed_same_weights_other_seed_other_weights(initialiser: Initialiser) -> None:
    first, second, other = (weights_after(initialiser, seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    for layer in anatomy(Mixed()).weight_layers():
        assert not torch.equal(first[str(layer.weight)], other[str(layer.weight)])


@each_initialiser
def test_the_global_generator_is_neither_used_nor_moved(initialiser: Initialiser) -> None:
    network = Mixed()
    twin = copy.deepcopy(network)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    initialise(network, initialiser, 0, digits())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    initialise(twin, initialiser, 0, digits())
    for one, two in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, two)


@each_initialiser
def test_modes_buffers_gradients_and_hooks_stay_as_they_were(initialiser: Initialiser) -> None:
    network = Mixed()
    network.wide.weight.requires_grad_(False)
    modes = {name: module.training for name, module in network.named_modules()}
    frozen = {name: p.requires_grad for name, p in network.named_parameters()}
    buffers = copy.deepcopy(dict(network.named_buffers()))
    objects = [id(p) for p in network.parameters()]
    initialise(network, initialiser, 0, digits())
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert {name: p.requires_grad for name, p in network.named_parameters()} == frozen
    assert [id(p) for p in network.parameters()] == objects
    assert all(torch.equal(b, buffers[name]) for name, b in network.named_buffers())
    assert all(p.grad is None for p in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@each_initialiser
def test_the_coverage_map_is_complete_and_true(initialiser: Initialiser) -> None:
    network = Mixed()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(7.0)
    coverage = initialise(network, initialiser, 0, digits())
    assert coverage.missing() == []
    assert all(entry.reason for _, entry in coverage)
    for name, entry in coverage:
        changed = bool((network.get_parameter(name) != 7.0).any())
        assert changed == (entry.treatment is not Treatment.UNTOUCHED), name


@each_initialiser
def test_norms_start_with_scale_one_and_shift_zero(initialiser: Initialiser) -> None:
    network = Mixed()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(7.0)
    coverage = initialise(network, initialiser, 0, digits())
    entries = dict(coverage)
    norms = [layer for layer in anatomy(network) if layer.kind is LayerKind.NORM]
    assert len(norms) == 2
    for layer in norms:
        assert (network.get_parameter(str(layer.weight)) == 1).all()
        assert (network.get_parameter(str(layer.bias)) == 0).all()
        assert entries[str(layer.weight)].treatment is Treatment.RULE
        assert entries[str(layer.bias)].treatment is Treatment.RULE


@pytest.mark.parametrize("cls", INITIALISERS[1:], ids=lambda x: x.name)
def test_biases_are_zero_or_drawn_as_pytorch_does(cls: type[Initialiser]) -> None:
    zero, drawn = Mixed(), Mixed()
    initialise(zero, cls(cls.Config()), 0, digits())
    coverage = dict(initialise(drawn, cls(cls.Config(bias="default")), 0, digits()))
    for layer in anatomy(zero):
        if layer.bias and layer.kind is not LayerKind.NORM:
            assert (zero.get_parameter(layer.bias) == 0).all()
            values = drawn.get_parameter(layer.bias)
            assert coverage[layer.bias].treatment is Treatment.RULE
            assert values.unique().numel() == values.numel()
            assert values.abs().max() <= layer.fan_in**-0.5


@pytest.mark.parametrize("cls", INITIALISERS[1:], ids=lambda x: x.name)
def test_what_the_papers_are_silent_about_stays_as_it_was(cls: type[Initialiser]) -> None:
    network = Mixed()
    before = copy.deepcopy(network.state_dict())
    coverage = dict(initialise(network, cls(cls.Config()), 0, digits()))
    left_alone = [n for n, entry in coverage.items() if entry.treatment is Treatment.UNTOUCHED]
    assert sorted(left_alone) == [
        "attention.in_proj_bias",
        "attention.in_proj_weight",
        "place.weight",
        "scale",
        "slope.weight",
    ]
    for name in left_alone:
        assert torch.equal(network.state_dict()[name], before[name])


@pytest.mark.parametrize("cls", INITIALISERS[:-1], ids=lambda x: x.name)
def test_other_precisions_get_the_same_weights_rounded(cls: type[Initialiser]) -> None:
    single = weights_after(cls(cls.Config()), 3)
    double = weights_after(cls(cls.Config()), 3, Mixed().double())
    for layer in anatomy(Mixed()).weight_layers():
        name = str(layer.weight)
        assert double[name].dtype == torch.float64
        assert torch.equal(double[name].float(), single[name])


@each_initialiser
def test_a_network_without_parameters_is_no_problem(initialiser: Initialiser) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())
    assert list(initialise(network, initialiser, 0, digits())) == []


def test_modules_and_models_are_importable_without_torch() -> None:
    modules = [cls.__module__ for cls in INITIALISERS]
    modules += [f"initbench.models.{name}" for name in ("zoo_cnn", "mlp", "cifar_resnet")]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
