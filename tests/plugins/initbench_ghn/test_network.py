from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from initbench_ghn.checkpoint import load
from initbench_ghn.graph import Graph
from initbench_ghn.network import parameters_of
from initbench_ghn.traced import Traced
from initbench_ghn.tracing import trace
from initbench_ghn.training import Lesson, Trainer
from torch import Tensor, nn

from tests.plugins.initbench_ghn.networks import Cnn3, EdgeCases, ResNet
from tests.plugins.initbench_ghn.support import golden, golden_file, relative

TOLERANCE = 5e-6

WHOLE: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "cifar10_cnn3": ("ghn2_cifar10_random", Cnn3),
    "cifar10_edge_cases": ("ghn2_cifar10_random", EdgeCases),
    "cifar10_resnet20": ("ghn2_cifar10_random", ResNet),
}


def library(name: str) -> Callable[[], nn.Module]:
    from torchvision import models

    return lambda: models.get_model(name, weights=None)


def predict(checkpoint: str, network: nn.Module, size: int = 32) -> dict[str, Tensor]:
    graph = trace(network, (3, size, size))
    with torch.no_grad():
        (tiles,) = load(golden_file(f"{checkpoint}.pt"))([graph])
    return parameters_of(tiles, {name: p.shape for name, p in network.named_parameters()})


@pytest.mark.parametrize("name", WHOLE)
def test_parameters_are_those_of_the_released_code(name: str) -> None:
    checkpoint, build = WHOLE[name]
    tensors, _ = golden(f"{name}.safetensors")
    ours = predict(checkpoint, build())
    theirs = {key.removeprefix("param."): x for key, x in tensors.items() if key[:6] == "param."}
    assert ours.keys() == theirs.keys()
    for parameter, expected in theirs.items():
        assert relative(ours[parameter], expected) < TOLERANCE, parameter


@pytest.mark.parametrize("name", ["tiny_ghn1", "tiny_ghn2", "tiny_mlp", "tiny_mlpdecoder"])
def test_small_hypernetworks_of_all_kinds_agree(name: str) -> None:
    tensors, _ = golden(f"{name}_cnn3_summary.safetensors")
    compare_summary(predict(name, Cnn3()), tensors)


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5"])
def test_imagenet_hypernetworks_agree(name: str) -> None:
    tensors, _ = golden(f"imagenet_{name}_summary.safetensors")
    compare_summary(predict("ghn2_imagenet_random", library(name)(), 224), tensors)


def compare_summary(ours: dict[str, Tensor], tensors: dict[str, Tensor]) -> None:
    names = {key.removeprefix("val.") for key in tensors if key.startswith("val.")}
    assert ours.keys() == names
    for name in names:
        assert list(ours[name].shape) == tensors[f"shape.{name}"].tolist()
        chosen = ours[name].flatten()[tensors[f"idx.{name}"]]
        assert relative(chosen, tensors[f"val.{name}"]) < TOLERANCE, name
        norm = float(ours[name].double().norm())
        assert norm == pytest.approx(float(tensors[f"stat.{name}"][2]), rel=TOLERANCE)


def test_node_states_are_those_of_the_released_code() -> None:
    tensors, metadata = golden("cifar10_cnn3.safetensors")
    network = Cnn3()
    graph = trace(network, (3, 32, 32))
    ghn = load(golden_file("ghn2_cifar10_random.pt"))
    names = [node.parameter or node.primitive for node in graph.nodes]
    for node, state in zip(names, ghn.features([graph]), strict=True):
        if node in metadata["node_names"]:
            row = metadata["node_names"].index(node)
            torch.testing.assert_close(state, tensors["hidden.x0"][row])


@pytest.mark.parametrize(("variant", "classes", "bias"), [("c23", 23, True), ("nobias", 10, False)])
def test_heads_of_other_widths_and_without_bias_agree(
    variant: str, classes: int, bias: bool
) -> None:
    tensors, _ = golden("cifar10_variants.safetensors")
    ours = predict("ghn2_cifar10_random", Cnn3(classes, bias))
    for key, expected in tensors.items():
        if key.startswith(f"{variant}."):
            assert relative(ours[key.removeprefix(f"{variant}.")], expected) < TOLERANCE


def test_gradients_through_prediction_agree() -> None:
    tensors, _ = golden("cifar10_variants.safetensors")
    ghn = load(golden_file("ghn2_cifar10_random.pt")).requires_grad_()
    networks = [Cnn3(), ResNet()]
    tiles = ghn([trace(network, (3, 32, 32)) for network in networks])
    loss = torch.zeros(())
    for network, tile in zip(networks, tiles, strict=True):
        shapes = {name: p.shape for name, p in network.named_parameters()}
        for parameter in parameters_of(tile, shapes).values():
            loss = loss + parameter.square().sum()
    assert float(loss.detach()) == pytest.approx(float(tensors["train.loss"]), rel=1e-5)
    loss.backward()
    for name, parameter in ghn.named_parameters():
        assert parameter.grad is not None
        norm = float(parameter.grad.double().norm())
        assert norm == pytest.approx(float(tensors[f"train.grad_norm.{name}"]), rel=1e-5)
        chosen = parameter.grad.flatten()[tensors[f"train.grad_idx.{name}"]]
        torch.testing.assert_close(
            chosen, tensors[f"train.grad_val.{name}"], rtol=1e-4, atol=1e-5 * max(norm, 1e-3)
        )


def noise_of(graph: Graph, tensors: dict[str, Tensor], start: str) -> Tensor:
    """Return the noise that the released code drew for each node, zeros where it drew none."""
    none = torch.zeros(8)
    return torch.stack([tensors.get(f"{start}{node.parameter}", none) for node in graph.nodes])


def test_a_noise_ghn_agrees() -> None:
    tensors, _ = golden("tiny_noise_ghn_resnet20.safetensors")
    network = ResNet(noise=True)
    graph = trace(network, (3, 224, 224))
    assert [x.shape for x in graph.nodes if x.primitive == "avg_pool"] == [(1, 1, 56, 56)]
    with torch.no_grad():
        (tiles,) = load(golden_file("tiny_noise_ghn.pt"))(
            [graph], [noise_of(graph, tensors, "noise.")]
        )
    shapes = {name: p.shape for name, p in network.named_parameters()}
    compare_summary(parameters_of(tiles, shapes), tensors)


def test_the_loss_of_a_noise_ghn_and_its_gradients_agree() -> None:
    tensors, _ = golden("tiny_noise_ghn_resnet20.safetensors")
    ghn = load(golden_file("tiny_noise_ghn.pt")).requires_grad_()
    networks = [ResNet(blocks, noise=True).train() for blocks in (3, 5)]
    trainer = Trainer(ghn, networks, Lesson(epochs=1), torch.Generator())
    group = [Traced.of(network, (3, 224, 224)) for network in networks]
    draws = ["loss.noise0.", "loss.noise1."]
    noise = [
        [noise_of(x.graph, tensors, f"{draw}{i}.") for i, x in enumerate(group)] for draw in draws
    ]
    loss = trainer.loss(tensors["loss.images"], tensors["loss.labels"], group, noise)
    assert float(loss.detach()) == pytest.approx(float(tensors["loss.total"]), rel=1e-5)
    loss.backward()
    for name, parameter in ghn.named_parameters():
        expected = float(tensors[f"loss.grad_norm.{name}"])
        assert parameter.grad is not None
        assert float(parameter.grad.norm()) == pytest.approx(expected, rel=5e-3), name
