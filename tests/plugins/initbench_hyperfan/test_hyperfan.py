from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from initbench.api import GeneratedTensor, OutputLayer, Treatment
from initbench.models.anatomy import Anatomy
from initbench.models.tracing import anatomy
from initbench.plugin.apply import apply
from tests.models.hypernetwork.support import VARIANTS, hypernetwork
from tests.plugins.initbench_hyperfan import support
from tests.plugins.initbench_hyperfan.support import (
    built,
    initialise,
    initialiser,
    mlp,
    weight_of,
)

METHODS: list[tuple[str, dict[str, Any]]] = [
    ("hyperfan", {}),
    ("hyperfan", {"mode": "out"}),
    ("hyperfan", {"distribution": "normal"}),
    ("hypernet_classical", {}),
    ("hypernet_classical", {"scheme": "kaiming_fan_in"}),
    ("hypernet_classical", {"scheme": "kaiming_fan_out"}),
    ("hypernet_small", {}),
    ("hypernet_scaled", {}),
    ("hypernet_constant", {}),
]


def test_all_methods_are_registered_under_their_names() -> None:
    root = Path(__file__).parents[3]
    points = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]
    for name, cls in support.METHODS.items():
        target = points["initbench"][f"initialiser.{name}"]
        assert target == f"{cls.__module__}:{cls.__name__}"


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("mode", ["in", "out"])
def test_output_layers_have_the_variance_of_the_formula_and_biases_of_zero(
    mode: str, distribution: str
) -> None:
    """Rule 1 of the spec: within 2 % above 1e5 elements, support within sqrt(3 Var)."""
    network = mlp([100] * 4, "relu")
    initialise(network, initialiser("hyperfan", mode=mode, distribution=distribution))
    checked = 0
    for output in network.anatomy().outputs:
        main = output.tensors[0].layer
        fan = main.fan_in if mode == "in" else main.fan_out
        expected = (2 if main.activation == "relu" else 1) / (fan * 50)
        weight = weight_of(network, output.name)
        if weight.numel() > 1e5:
            assert weight.var().item() == pytest.approx(expected, rel=0.02)
            assert weight.mean().abs() < 5 * (expected / weight.numel()) ** 0.5
            checked += 1
        inside = bool(weight.abs().max() <= (3 * expected) ** 0.5 * (1 + 1e-6))
        assert inside == (distribution == "uniform")
        assert torch.count_nonzero(network.get_parameter(f"{output.name}.bias")) == 0
    assert checked == 2


@pytest.mark.parametrize(("mode", "biases"), [("in", False), ("in", True), ("out", False)])
def test_generated_weights_have_the_classical_variance(mode: str, biases: bool) -> None:
    """Rule 2 of the spec: within 35 % for one embedding, within 3 % given its length."""
    network = mlp([200] * 3, "relu", seed=3, biases=biases)
    initialise(network, initialiser("hyperfan", mode=mode), seed=4)
    generated = network.generated()
    embeddings = network.generator.embeddings.own
    for output in network.anatomy().outputs:
        for tensor in output.tensors:
            main = tensor.layer
            if tensor.is_bias or main.role == "head":
                continue
            values = generated[tensor.name.removeprefix("main.")]
            fan = main.fan_in * (2 if biases else 1) if mode == "in" else main.fan_out
            ratio = values.var().item() * fan / 2
            assert ratio == pytest.approx(1, rel=0.35)
            length = embeddings[tensor.rows[0]].square().sum().item() / 50
            assert ratio / length == pytest.approx(1, rel=0.03)


def test_generated_biases_are_half_of_hyperfan_in_and_the_gap_of_hyperfan_out() -> None:
    network = mlp([400, 800], "tanh", biases=True, embedding={"size": 200})
    initialise(network, initialiser("hyperfan"))
    assert network.generated()["linear2.bias"].var().item() == pytest.approx(0.5, rel=0.3)
    initialise(network, initialiser("hyperfan", mode="out"))
    generated = network.generated()
    assert torch.count_nonzero(generated["linear1.bias"]) == 0  # 784 -> 400 narrows
    assert generated["linear2.bias"].var().item() == pytest.approx(1 - 400 / 800, rel=0.3)


def test_hidden_layers_noise_and_shared_numbers_keep_the_scale() -> None:
    config = {
        "hidden": [300, 300],
        "embedding": {"size": 150, "variance": 3.0, "shared": 50, "noise": 0.5, "draws": 1},
    }
    ratios = []
    for seed in range(8):
        network = mlp([100, 100], "relu", seed=seed, **config)
        initialise(network, initialiser("hyperfan"), seed=seed)
        weight = network.generated()["linear2.weight"]
        ratios.append(weight.var().item() * 100 / 2)
    assert torch.tensor(ratios).mean().item() == pytest.approx(1, rel=0.15)


def test_blocks_get_their_scale_from_the_input_layers_alone() -> None:
    config = {"main": {"name": "all_cnn_c"}, "sharing": "chunked"}
    for mode in ("in", "out"):
        network = built(config, 3, 32)
        initialise(network, initialiser("hyperfan", mode=mode))
        output = network.generator.output_layer.weight
        assert output.var().item() == pytest.approx(1 / 50, rel=0.05)
        for tensor, name in zip(network.generator.chosen, network.generated(), strict=True):
            layer = tensor.layer
            fan = layer.fan_in if mode == "in" else layer.fan_out
            variance = network.generated()[name].var().item()
            assert variance * fan / 2 == pytest.approx(1, rel=0.25), name
        assert network.main.conv8.weight.var().item() == pytest.approx(2 / 192, rel=0.05)


def test_depthwise_convolutions_count_one_group() -> None:
    main = {"name": "mobilenet_v1", "stem": "cifar", "width": 0.25}
    network = built({"main": main, "embedding": {"size": 32}}, 3, 32)
    initialise(network, initialiser("hyperfan"))
    outputs = {o.tensors[0].name: o for o in network.anatomy().outputs}
    weight = weight_of(network, outputs["main.depthwise13.conv.weight"].name)
    assert weight.var().item() == pytest.approx(2 / (9 * 32), rel=0.05)


@pytest.mark.parametrize(("name", "config"), METHODS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_method_accounts_for_every_parameter(
    name: str, config: dict[str, Any], variant: str
) -> None:
    method = initialiser(name, **config)
    network = hypernetwork(variant)
    found = anatomy(network)
    if name == "hypernet_constant" and found.outputs[0].embedding.endswith("shared"):
        assert method.supports(found).reason.startswith("tensors share their embedding")
        return
    if name == "hypernet_constant" and variant == "trainable":
        assert method.supports(found).reason.startswith("tensors share part of their embeddings")
        return
    applied = apply(method, network, found, seed=1)
    assert applied.notes == []
    entries = dict(applied.coverage)
    for output in found.outputs:
        assert entries[f"{output.name}.weight"].treatment is Treatment.GENERATED
        expected = Treatment.GENERATED if name == "hypernet_constant" else Treatment.UNTOUCHED
        assert entries[output.embedding].treatment is expected


def test_the_record_says_with_which_deviation_each_tensor_starts() -> None:
    network = mlp([500] * 5)
    coverage = dict(initialise(network, initialiser("hyperfan")))
    assert coverage["generator.output_layers.0.weight"].reason == (
        "uniform, variance 2.551e-05, for std 0.03571 of main.linear1.weight"
    )
    assert network.generated()["linear1.weight"].std().item() == pytest.approx(0.0357, rel=0.2)


def test_same_seed_same_weights_and_the_same_embeddings_for_all_methods() -> None:
    def weights(name: str, seed: int, **config: Any) -> dict[str, torch.Tensor]:
        network = mlp([8, 8], hidden=[4])
        initialise(network, initialiser(name, **config), seed)
        return network.state_dict()

    one, two, other = (weights("hyperfan", seed) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["generator.hidden.0.weight"], other["generator.hidden.0.weight"])
    classical = weights("hypernet_classical", 1)
    embeddings = "generator.embeddings.own"
    assert torch.equal(one[embeddings], classical[embeddings])


@pytest.mark.parametrize(("name", "config"), METHODS)
def test_ordinary_networks_are_refused_with_a_hint(name: str, config: dict[str, Any]) -> None:
    answer = initialiser(name, **config).supports(anatomy(torch.nn.Linear(3, 2)))
    assert not answer.supported
    assert "wrap it: `{name: hypernetwork, main: {name: ...}}`" in answer.reason


@pytest.mark.parametrize(("name", "config"), METHODS)
def test_embeddings_without_variance_are_refused(name: str, config: dict[str, Any]) -> None:
    found = mlp([8]).anatomy()
    (first, *others) = found.outputs
    flat = OutputLayer(first.name, first.tensors, first.features, first.embedding, 0.0)
    answer = initialiser(name, **config).supports(
        Anatomy(found.layers, True, "", found.main, (flat, *others))
    )
    assert not answer.supported
    assert "variance 0, so nothing can be scaled" in answer.reason


def test_tensors_that_need_different_variances_cannot_share_an_output_layer() -> None:
    found = mlp([8]).anatomy()
    first, second = found.outputs
    tensors = (*first.tensors, GeneratedTensor(second.tensors[0].layer, False, False, (1, 2)))
    both = OutputLayer(first.name, tensors, first.features, first.embedding, 1.0)
    wrong = Anatomy(found.layers, True, "", found.main, (both, second))
    answer = initialiser("hyperfan").supports(wrong)
    assert "need different variances, first `main.linear1.weight`" in answer.reason
