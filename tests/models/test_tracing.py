from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from initbench.errors import UserError
from initbench.models import tracing
from initbench.models.activations import Activation
from initbench.models.anatomy import Anatomy, Layer, LayerKind, LayerRole
from initbench.models.flow import Flow, following
from initbench.models.flow_observed import observed_flow
from initbench.models.flow_symbolic import symbolic_flow
from initbench.models.tracing import anatomy
from tests.models.networks import (
    AsksForShapes,
    Branches,
    Functional,
    KnowsPositions,
    Language,
    LooksAtValues,
    RegistersInAnotherOrder,
    Residual,
    Reused,
    Standardised,
    WritesToItself,
)


def layer_of(found: Anatomy, name: str) -> Layer:
    return next(layer for layer in found if layer.name == name)


def activations(found: Anatomy) -> dict[str, str]:
    return {layer.name: layer.activation for layer in found.weight_layers()}


def single_layer(network: nn.Module) -> Layer:
    (layer,) = anatomy(network)
    return layer


# What follows a layer ---------------------------------------------------------------------------


def test_the_walk_passes_norms_pooling_dropout_and_reshaping() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3),  # 0
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.Conv2d(2, 4, 3),  # 3
        nn.MaxPool2d(2),
        nn.Tanh(),
        nn.Conv2d(4, 4, 1),  # 6
        nn.Dropout2d(0.1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.GELU(),
        nn.Linear(4, 4),  # 11
        nn.LayerNorm(4),
        nn.Linear(4, 4),  # 13
        nn.LeakyReLU(0.2),
        nn.Linear(4, 2),  # 15
        nn.Softmax(1),
    )
    found = anatomy(network)
    assert found.traced
    assert found.note == ""
    assert activations(found) == {
        "0": "relu",
        "3": "tanh",
        "6": "gelu",
        "11": "identity",
        "13": "leaky_relu",
        "15": "identity",
    }
    assert layer_of(found, "13").activation_parameter == 0.2
    assert layer_of(found, "1").activation == "relu"
    assert {layer.activation_from for layer in found} == {"traced"}


@pytest.mark.parametrize(
    ("function", "name", "slope"),
    [
        (functional.relu, "relu", None),
        (torch.relu, "relu", None),
        (lambda x: x.relu(), "relu", None),
        (lambda x: x.relu_(), "relu", None),
        (lambda x: functional.relu(x, inplace=True), "relu", None),
        (functional.relu6, "relu6", None),
        (torch.tanh, "tanh", None),
        (lambda x: x.tanh(), "tanh", None),
        (torch.sigmoid, "sigmoid", None),
        (functional.gelu, "gelu", None),
        (functional.silu, "silu", None),
        (lambda x: functional.elu(x, 2.0), "elu", None),
        (functional.selu, "selu", None),
        (functional.hardswish, "hardswish", None),
        (functional.softplus, "softplus", None),
        (functional.logsigmoid, "logsigmoid", None),
        (functional.mish, "mish", None),
        (lambda x: functional.leaky_relu(x, 0.2), "leaky_relu", 0.2),
        (lambda x: functional.leaky_relu(x, negative_slope=0.3), "leaky_relu", 0.3),
        (lambda x: x.view(-1, 2, 2).permute(0, 2, 1).reshape(-1, 4).relu(), "relu", None),
        (lambda x: functional.dropout(x * 2 + 1, 0.5).sigmoid(), "sigmoid", None),
        (lambda x: torch.softmax(x, 1), "identity", None),
        (lambda x: functional.log_softmax(x, 1), "identity", None),
        (lambda x: x, "identity", None),
    ],
)
@pytest.mark.parametrize("read", [symbolic_flow, lambda n: observed_flow(n, torch.randn(3, 4))])
def test_functions_and_methods_are_recognised(
    function: Callable[[Tensor], Tensor], name: str, slope: float | None, read: Any
) -> None:
    flow = read(Functional(function))
    activation = following(flow["linear"])
    assert activation.name == name
    assert activation.parameter == (None if slope is None else pytest.approx(slope))
    assert following(flow["head"]).name == "identity"


def test_every_activation_class_of_torch_is_recognised() -> None:
    classes = {
        nn.ReLU: "relu",
        nn.ReLU6: "relu6",
        nn.LeakyReLU: "leaky_relu",
        nn.ELU: "elu",
        nn.SELU: "selu",
        nn.CELU: "celu",
        nn.GELU: "gelu",
        nn.SiLU: "silu",
        nn.Mish: "mish",
        nn.Tanh: "tanh",
        nn.Sigmoid: "sigmoid",
        nn.Hardswish: "hardswish",
        nn.Hardsigmoid: "hardsigmoid",
        nn.Hardtanh: "hardtanh",
        nn.Softplus: "softplus",
        nn.Softsign: "softsign",
        nn.LogSigmoid: "logsigmoid",
        nn.PReLU: "prelu",
        nn.RReLU: "rrelu",
        nn.LogSoftmax: "identity",
    }
    for cls, name in classes.items():
        network = nn.Sequential(nn.Linear(4, 4), cls(), nn.Linear(4, 2))
        assert layer_of(anatomy(network), "0").activation == name


def test_a_prelu_starts_with_its_slope_and_owns_it() -> None:
    found = anatomy(nn.Sequential(nn.Linear(4, 4), nn.PReLU(init=0.1), nn.Linear(4, 2)))
    assert layer_of(found, "0").activation_parameter == pytest.approx(0.1)
    assert layer_of(found, "1").kind is LayerKind.OTHER
    assert layer_of(found, "1").others == ("1.weight",)


def test_the_last_activation_of_a_residual_block_follows_both_paths() -> None:
    assert activations(anatomy(Residual())) == {
        "conv1": "relu",
        "conv2": "elu",
        "shortcut": "elu",
    }


@pytest.mark.parametrize("left_first", [True, False])
def test_where_paths_branch_the_nearest_activation_counts(left_first: bool) -> None:
    assert activations(anatomy(Branches(left_first))) == {
        "trunk": "tanh",
        "left": "identity",
        "right": "identity",
    }


@pytest.mark.parametrize("read", [symbolic_flow, lambda n: observed_flow(n, torch.randn(3, 4))])
def test_buffers_are_no_parameters_and_layers_come_in_the_order_of_their_calls(read: Any) -> None:
    flow = read(KnowsPositions())
    assert following(flow[""]).name == "identity"  # the scale; a ReLU follows the positions only
    order = [name for name in flow if name != ""]
    assert order == ["places", "shortcut", "body", "head"]


def test_layers_derived_from_those_of_torch_are_layers() -> None:
    found = anatomy(nn.Sequential(Standardised(1, 2, 3), nn.Tanh(), Standardised(2, 2, 1)))
    assert [layer.kind for layer in found] == [LayerKind.CONV, LayerKind.CONV]
    assert activations(found) == {"0": "tanh", "2": "identity"}


def test_a_module_used_several_times_is_described_by_its_first_use() -> None:
    found = anatomy(Reused())
    assert activations(found) == {"shared": "silu", "other": "silu"}


def test_sizes_are_no_data_flow() -> None:
    assert activations(anatomy(AsksForShapes()))["conv"] == "identity"


def test_a_layer_on_its_own_is_the_head_and_nothing_follows_it() -> None:
    layer = single_layer(nn.Linear(3, 2))
    assert (layer.name, layer.weight, layer.bias) == ("", "weight", "bias")
    assert (layer.role, layer.activation) == (LayerRole.HEAD, "identity")


@given(st.lists(st.sampled_from(["conv", "norm", "relu", "tanh", "pool", "drop"]), max_size=12))
def test_in_a_chain_it_is_the_next_activation_before_the_next_layer(parts: list[str]) -> None:
    modules: dict[str, Callable[[], nn.Module]] = {
        "conv": lambda: nn.Conv2d(2, 2, 3, padding=1),
        "norm": lambda: nn.BatchNorm2d(2),
        "relu": nn.ReLU,
        "tanh": nn.Tanh,
        "pool": lambda: nn.MaxPool2d(3, 1, 1),
        "drop": nn.Dropout,
    }
    network = nn.Sequential(*(modules[part]() for part in parts))
    expected = {}
    for i, part in enumerate(parts):
        if part == "conv":
            rest = [p for p in parts[i + 1 :] if p in ("conv", "relu", "tanh")]
            expected[str(i)] = rest[0] if rest and rest[0] != "conv" else "identity"
    assert activations(anatomy(network)) == expected


# Roles and shapes -------------------------------------------------------------------------------


def test_layers_come_in_forward_order_and_roles_follow_it() -> None:
    found = anatomy(RegistersInAnotherOrder())
    assert [(layer.name, layer.role) for layer in found] == [
        ("stem", LayerRole.STEM),
        ("body", LayerRole.HIDDEN),
        ("head", LayerRole.HEAD),
    ]


@given(
    out_channels=st.integers(1, 5),
    in_channels=st.integers(1, 5),
    groups=st.integers(1, 4),
    kernel=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    transposed=st.booleans(),
)
def test_fans_are_those_of_torch_for_one_group(
    out_channels: int, in_channels: int, groups: int, kernel: list[int], transposed: bool
) -> None:
    dims = len(kernel) - 1
    plain = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
    upside_down = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]
    cls = (upside_down if transposed else plain)[dims]
    conv = cls(in_channels * groups, out_channels * groups, tuple(kernel), groups=groups)
    one_group = plain[dims](in_channels, out_channels, tuple(kernel))
    layer = single_layer(conv)
    expected = nn.init._calculate_fan_in_and_fan_out(one_group.weight)
    assert (layer.fan_in, layer.fan_out) == expected
    assert layer.shape == tuple(conv.weight.shape)
    assert layer.groups == groups
    assert layer.kind is LayerKind.CONV
    assert layer.receptive_field == one_group.weight[0, 0].numel()


def test_a_depthwise_convolution_has_the_fan_in_of_one_channel() -> None:
    layer = single_layer(nn.Conv2d(64, 64, 3, groups=64, bias=False))
    assert (layer.fan_in, layer.fan_out, layer.bias) == (9, 9, None)


def test_kinds_names_and_ties_of_a_language_model() -> None:
    found = anatomy(Language())
    assert [(layer.name, layer.kind, layer.weight, layer.bias) for layer in found] == [
        ("embedding", LayerKind.EMBEDDING, "embedding.weight", None),
        ("", LayerKind.OTHER, None, None),
        ("attention", LayerKind.OTHER, None, None),
        ("attention.out_proj", LayerKind.LINEAR, *with_bias("attention.out_proj")),
        ("norm", LayerKind.NORM, *with_bias("norm")),
        ("wide", LayerKind.LINEAR, *with_bias("wide")),
        ("narrow", LayerKind.LINEAR, *with_bias("narrow")),
        ("head", LayerKind.LINEAR, None, "head.bias"),
    ]
    assert layer_of(found, "").others == ("position",)
    assert layer_of(found, "attention").others == (
        "attention.in_proj_weight",
        "attention.in_proj_bias",
    )
    head = layer_of(found, "head")
    assert (head.shape, head.fan_in, head.role) == ((), 8, LayerRole.HEAD)
    assert activations(found) == {
        "attention.out_proj": "identity",
        "wide": "gelu",
        "narrow": "identity",
    }


def with_bias(module: str) -> tuple[str, str]:
    return f"{module}.weight", f"{module}.bias"


@pytest.mark.parametrize(
    "norm",
    [
        nn.BatchNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True),
        nn.LayerNorm([4, 3, 3]),
    ],
)
def test_norms_are_passed_and_named(norm: nn.Module) -> None:
    found = anatomy(nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten()))
    assert layer_of(found, "0").activation == "relu"
    assert layer_of(found, "1").kind is LayerKind.NORM
    assert (layer_of(found, "1").fan_in, layer_of(found, "1").fan_out) == (0, 0)


def test_a_weight_behind_a_parametrization_is_not_offered_as_a_weight() -> None:
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 3))
    found = anatomy(nn.Sequential(conv, nn.ReLU()))
    assert [layer.name for layer in found.weight_layers()] == []
    assert (layer_of(found, "0").bias, layer_of(found, "0").activation) == ("0.bias", "relu")
    assert layer_of(found, "0.parametrizations.weight").kind is LayerKind.OTHER


def test_lazy_modules_are_refused_with_the_next_step() -> None:
    with pytest.raises(UserError, match=r"`1\.weight`.*lazy.*run one batch through it"):
        anatomy(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)))


def test_networks_without_data_are_traced_too() -> None:
    with torch.device("meta"):
        network = torchvision.models.resnet18(num_classes=10)
    assert anatomy(network).traced


# Where torch.fx fails ---------------------------------------------------------------------------


def test_a_forward_method_that_looks_at_values_is_guessed_and_says_so() -> None:
    found = anatomy(LooksAtValues())
    assert not found.traced
    assert "torch.fx cannot trace the network (TraceError" in found.note
    # No activation module is registered, so it is taken for a network of ReLUs.
    assert activations(found) == {"first": "relu", "second": "relu", "head": "identity"}
    assert all(layer.activation_from.startswith("assumed: guessed") for layer in found)


def test_guesses_use_the_activation_modules_in_their_order() -> None:
    class Untraceable(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    network = Untraceable(
        nn.Linear(4, 4),
        nn.Tanh(),
        nn.Linear(4, 4),
        nn.LayerNorm(4),
        nn.SiLU(),
        nn.Linear(4, 4),  # nothing before the next layer: the most frequent one
        nn.Linear(4, 4),
        nn.SiLU(),
        nn.Linear(4, 2),
    )
    found = anatomy(network)
    assert not found.traced
    assert list(activations(found).values()) == ["tanh", "silu", "silu", "silu", "identity"]


def test_with_an_example_a_forward_method_that_looks_at_values_is_followed() -> None:
    found = anatomy(LooksAtValues(), torch.randn(3, 4))
    assert found.traced
    assert found.note.endswith("an example was run instead")
    assert activations(found) == {"first": "tanh", "second": "leaky_relu", "head": "identity"}
    assert layer_of(found, "second").activation_parameter == pytest.approx(0.3)
    assert [layer.name for layer in found] == ["first", "norm", "second", "head"]


def test_an_example_that_does_not_fit_is_reported_in_the_note() -> None:
    found = anatomy(LooksAtValues(), torch.randn(3, 5))
    assert not found.traced
    assert "the example could not be run (RuntimeError" in found.note


def test_an_example_whose_run_autograd_cannot_see_is_reported_in_the_note() -> None:
    class Frozen(LooksAtValues):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return super().forward(x)

    found = anatomy(Frozen(), torch.randn(3, 4))
    assert not found.traced
    assert "autograd saw no parameter" in found.note


def test_layers_hidden_in_a_transformer_of_torch_are_seen_with_an_example_only() -> None:
    network = nn.Sequential(
        nn.Linear(6, 8), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 2)
    )
    without = anatomy(network)
    assert without.traced
    assert "does not see what follows 9 modules, first `1.self_attn`" in without.note
    assert layer_of(without, "0").activation_from == "traced"
    assert layer_of(without, "1.linear1").activation_from.startswith("assumed: guessed")
    assert layer_of(without, "2").role is LayerRole.HEAD
    found = anatomy(network, torch.randn(2, 3, 6))
    assert {layer.activation_from for layer in found} == {"traced"}
    assert activations(found) == {
        "0": "identity",
        "1.self_attn.out_proj": "identity",
        "1.linear1": "relu",
        "1.linear2": "identity",
        "2": "identity",
    }


def test_layers_that_are_never_called_come_last_and_are_no_head() -> None:
    network = RegistersInAnotherOrder()
    network.register_module("spare", nn.Linear(2, 2))
    found = anatomy(network)
    assert [layer.name for layer in found] == ["stem", "body", "head", "spare"]
    assert layer_of(found, "head").role is LayerRole.HEAD
    assert layer_of(found, "spare").role is LayerRole.HIDDEN
    assert "does not reach it" in layer_of(found, "spare").activation_from


# Two independent ways agree ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["resnet18", "convnext_tiny", "mobilenet_v2", "small_vit", "regnet_y_400mf", "swin_v2_t"],
)
def test_torch_fx_and_autograd_agree_on_torchvision(name: str) -> None:
    if name == "small_vit":
        network: nn.Module = torchvision.models.VisionTransformer(
            image_size=64, patch_size=16, num_layers=3, num_heads=2, hidden_dim=8, mlp_dim=16
        )
    else:
        network = torchvision.models.get_model(name, weights=None, num_classes=10)
    symbolic = symbolic_flow(network)
    observed = observed_flow(network, torch.randn(1, 3, 64, 64))
    owners = {full.rpartition(".")[0] for full, _ in network.named_parameters()}

    def follows(flow: Flow) -> dict[str, Activation]:
        return {name: following(op) for name, op in flow.items() if name in owners and op}

    assert follows(symbolic) == follows(observed)
    assert set(follows(symbolic)) == owners
    layers = [layer.name for layer in anatomy(network).weight_layers()]
    assert layers == [name for name in observed if name in layers]


def test_known_activations_of_torchvision() -> None:
    def of(name: str) -> dict[str, str]:
        with torch.device("meta"):
            return activations(anatomy(torchvision.models.get_model(name, weights=None)))

    resnet = of("resnet18")
    assert resnet.pop("fc") == "identity"
    assert set(resnet.values()) == {"relu"}

    mobilenet = of("mobilenet_v2")
    assert mobilenet["features.2.conv.0.0"] == "relu6"  # expansion
    assert mobilenet["features.2.conv.1.0"] == "relu6"  # depthwise
    assert mobilenet["features.2.conv.2"] == "identity"  # linear bottleneck

    convnext = of("convnext_tiny")
    assert convnext["features.1.0.block.0"] == "identity"  # depthwise, then a norm
    assert convnext["features.1.0.block.3"] == "gelu"
    assert convnext["features.1.0.block.5"] == "identity"

    vit = of("vit_b_16")
    assert vit["encoder.layers.encoder_layer_0.mlp.0"] == "gelu"
    assert vit["encoder.layers.encoder_layer_0.self_attention.out_proj"] == "identity"
    assert vit["heads.head"] == "identity"


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny", "mobilenet_v2", "vit_b_16"])
def test_every_parameter_is_named_exactly_once(name: str) -> None:
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None)
    named = [
        parameter
        for layer in anatomy(network)
        for parameter in (layer.weight, layer.bias, *layer.others)
        if parameter
    ]
    assert sorted(named) == sorted(full for full, _ in network.named_parameters())


# Nothing is left behind -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "example"),
    [
        (WritesToItself(), torch.randn(2, 4)),
        (LooksAtValues(), torch.randn(3, 4)),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()),
            torch.randn(2, 1, 5, 5),
        ),
    ],
)
def test_tracing_leaves_network_and_global_generator_as_they_were(
    network: nn.Module, example: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.train()
    network.get_submodule(next(iter(dict(network.named_children())))).eval()
    modes = {name: module.training for name, module in network.named_modules()}
    state = copy.deepcopy(network.state_dict())
    generator = torch.get_rng_state()
    anatomy(network)
    monkeypatch.setattr(tracing, "symbolic_flow", fail)
    assert anatomy(network, example).traced
    assert {name: module.training for name, module in network.named_modules()} == modes
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name])
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), generator)
    assert getattr(network, "last", None) is None


def fail(network: nn.Module) -> None:
    raise ValueError("not traceable")
