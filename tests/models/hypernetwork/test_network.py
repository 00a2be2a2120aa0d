from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn
from torch.func import functional_call

from initbench.errors import UserError
from initbench.models.anatomy import LayerKind
from initbench.models.hypernetwork.config import HypernetworkConfig
from initbench.models.hypernetwork.generators import generator_for
from initbench.models.hypernetwork.model import Hypernetwork
from initbench.models.hypernetwork.network import TASK_EMBEDDINGS, GeneratedNetwork
from initbench.models.hypernetwork.tensors import chosen_tensors
from initbench.models.tracing import anatomy
from initbench.training.optimiser import build_optimiser
from initbench.training.outcome import Member
from initbench.training.recipe import SGD, Recipe
from initbench.training.stack import Stack
from initbench.training.stackable import why_not_stackable
from initbench.training.stacked_run import train_stack
from initbench.training.trainer import train
from tests.models.building import build, model_of
from tests.models.hypernetwork.support import SMALL_MLP, VARIANTS, built, hypernetwork, images
from tests.training.networks import data

RECIPE = Recipe(optimiser=SGD(name="sgd", lr=0.01), epochs=2, batch_size=8)

each_variant = pytest.mark.parametrize("variant", VARIANTS)


@each_variant
def test_it_computes_what_the_main_network_computes_with_the_generated_weights(
    variant: str,
) -> None:
    config, channels, size = VARIANTS[variant]
    network = hypernetwork(variant).eval()
    main = dict(config["main"])
    plain = build(model_of(main.pop("name"), **main), channels, size=size).eval()
    plain.load_state_dict({**network.main.state_dict(), **network.generated()})
    torch.testing.assert_close(network(images(variant)), plain(images(variant)))


@each_variant
def test_generated_tensors_are_no_parameters_and_everything_else_is_trained(variant: str) -> None:
    network = hypernetwork(variant)
    names = {name for name, _ in network.named_parameters()}
    assert not names & {f"main.{name}" for name in network.generated()}
    fixed = {name for name, p in network.named_parameters() if not p.requires_grad}
    embeddings = {name for name in names if ".embeddings" in name}
    trained = variant in ("trainable", "one_embedding")
    assert fixed == (set() if trained else embeddings)
    optimiser = build_optimiser(network, SGD(name="sgd", lr=0.1))
    assert len(optimiser.param_groups[0]["params"]) == len(names - fixed)
    F.cross_entropy(network(images(variant)), torch.tensor([0, 1, 2, 3])).backward()
    assert {n for n, p in network.named_parameters() if p.grad is None} == fixed


@each_variant
def test_the_anatomy_names_every_parameter_once(variant: str) -> None:
    network = hypernetwork(variant)
    named = [n for x in anatomy(network) for n in (x.weight, x.bias, *x.others) if n]
    assert sorted(named) == sorted(name for name, _ in network.named_parameters())
    for layer in anatomy(network):
        if layer.weight:
            assert layer.shape == network.get_parameter(layer.weight).shape


@each_variant
def test_the_anatomy_says_which_output_layer_generates_which_tensor(variant: str) -> None:
    config, channels, size = VARIANTS[variant]
    network = hypernetwork(variant)
    found = anatomy(network)
    main = dict(config["main"])
    plain = anatomy(build(model_of(main.pop("name"), **main), channels, size=size))
    assert found.main is not None
    assert [(f"main.{x.name}", x.shape, x.fan_in, x.role, x.activation) for x in plain] == [
        (x.name, x.shape, x.fan_in, x.role, x.activation) for x in found.main
    ]
    tensors = [tensor for output in found.outputs for tensor in output.tensors]
    assert {t.name for t in tensors} == {f"main.{name}" for name in network.generated()}
    layers = {layer.name: layer for layer in found}
    for output in found.outputs:
        assert layers[output.name].kind is LayerKind.LINEAR
        assert layers[output.name].fan_in == output.features
        assert output.embedding in dict(network.named_parameters())
        assert output.through is None or output.through in layers


def test_an_output_layer_and_its_rows_really_make_the_tensor() -> None:
    """Changing a row of the embeddings changes the tensors that the anatomy names, and no other."""
    for variant in ("biases", "batch_norm", "chunked"):
        network = hypernetwork(variant)
        before = {name: t.detach().clone() for name, t in network.generated().items()}
        output = anatomy(network).outputs[1]
        tensor = output.tensors[-1]
        with torch.no_grad():
            network.get_parameter(output.embedding)[slice(*tensor.rows)] += 1.0
        changed = [n for n, t in network.generated().items() if not torch.equal(t, before[n])]
        assert [f"main.{name}" for name in changed] == [tensor.name]


def test_hooks_on_layers_of_the_main_network_see_its_activations() -> None:
    network = hypernetwork("zoo_cnn").eval()
    seen = {}
    found = anatomy(network).main
    assert found is not None
    for layer in found.weight_layers():
        module = network.get_submodule(layer.name)
        module.register_forward_hook(
            lambda module, args, output, name=layer.name: seen.update({name: (args[0], output)})
        )
    logits = network(images("zoo_cnn"))
    assert list(seen) == [layer.name for layer in found.weight_layers()]
    assert torch.equal(seen["main.linear2"][1], logits)
    weight = network.generated()["conv1.weight"]
    own = network.main.conv1
    expected = F.conv2d(images("zoo_cnn"), weight, own.bias)
    torch.testing.assert_close(seen["main.conv1"][1], expected)


def test_tied_weights_stay_tied() -> None:

    main = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    main[3].weight = main[1].weight
    config = HypernetworkConfig(main={"name": "mlp"})
    found = anatomy(main)
    generator = generator_for(chosen_tensors(found, config), config)
    network = GeneratedNetwork(main, found, generator, config)
    generated = network.generated()
    assert list(generated) == ["1.weight", "3.weight"]
    assert generated["1.weight"] is generated["3.weight"]
    x = torch.randn(5, 4)
    hidden = torch.tanh(F.linear(x, generated["1.weight"], main[1].bias))
    torch.testing.assert_close(network(x), F.linear(hidden, generated["1.weight"], main[3].bias))


def test_testing_averages_the_probabilities_of_all_draws() -> None:
    network = hypernetwork("per_tensor", embedding={"size": 5, "noise": 0.5, "draws": 3}).eval()
    x = images("per_tensor")
    probabilities = torch.stack(
        [
            torch.func.functional_call(network.main, network.generated(draw), (x,)).softmax(1)
            for draw in range(3)
        ]
    )
    torch.testing.assert_close(network(x).softmax(1), probabilities.mean(0))
    assert torch.equal(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))


@each_variant
def test_a_stack_of_hypernetworks_does_what_each_does_alone(variant: str) -> None:

    _, channels, size = VARIANTS[variant]
    members = [Member(hypernetwork(variant, seed), seed) for seed in (0, 1)]
    assert why_not_stackable(members, data(channels=channels, size=size), RECIPE) is None
    networks = [copy.deepcopy(member.network).double() for member in members]
    stack = Stack(networks, torch.device("cpu"))
    x = torch.stack([images(variant), 2 * images(variant)]).double()
    for own, stacked, seen in zip(networks, stack.logits(x), x, strict=True):
        torch.testing.assert_close(stacked, own(seen))


@pytest.mark.parametrize("variant", ["biases", "trainable"])
def test_a_stack_trains_hypernetworks_to_the_weights_that_each_reaches_alone(variant: str) -> None:
    def members() -> list[Member]:
        return [Member(hypernetwork(variant, seed), seed) for seed in (0, 1)]

    alone, stacked = train(members(), data(), RECIPE), train_stack(members(), data(), RECIPE)
    for one, other, start in zip(alone, stacked, members(), strict=True):
        assert other.batch_order == one.batch_order
        before = start.network.state_dict()
        assert any(not torch.equal(one.last[name], before[name]) for name in before)
        for name, tensor in one.last.items():
            torch.testing.assert_close(other.last[name], tensor, rtol=1e-3, atol=1e-4)


def test_noise_is_no_stack_but_trains() -> None:

    network = hypernetwork("per_tensor", embedding={"size": 5, "noise": 0.1, "draws": 2})
    member = Member(network, 0)
    where = data()
    reason = why_not_stackable([member, member], where, RECIPE)
    assert reason == "it draws random numbers while it trains"
    (trained,) = train([member], where, RECIPE)
    assert trained.status == "done"


def _of_tasks() -> GeneratedNetwork:
    config = {
        "main": SMALL_MLP,
        "tasks": 3,
        "embedding": {"size": 0, "shared": 2, "trainable": True},
        "biases": True,
    }
    network = built(config, channels=2, size=1)
    assert isinstance(network, GeneratedNetwork)
    return network


def test_each_input_meets_the_weights_of_its_task() -> None:
    network = _of_tasks()
    values = torch.randn(7, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    tasks = torch.tensor([0, 2, 1, 1, 0, 2, 2])
    mixed = torch.cat([values, tasks.view(-1, 1, 1, 1).float()], 1)
    outputs = network(mixed)
    for i, task in enumerate(tasks.tolist()):
        weights = network.generated(task=task)
        expected = functional_call(network.main, weights, (values[i : i + 1],))
        assert torch.allclose(outputs[i : i + 1], expected, atol=1e-6)
        assert torch.allclose(network(mixed[i : i + 1], task=task), expected, atol=1e-6)


def test_tasks_differ_in_their_embedding_only() -> None:
    network = _of_tasks()
    (of_tasks,) = [n for n, p in network.named_parameters() if p.shape == (3, 2)]
    assert of_tasks == TASK_EMBEDDINGS
    network(torch.tensor([1.0, 1.0]).view(1, 2, 1, 1)).sum().backward()
    gradient = network.get_parameter(TASK_EMBEDDINGS).grad
    assert gradient is not None
    assert gradient.abs().sum(1).nonzero().flatten().tolist() == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embedding": {"size": 3}}, "several `tasks` differ in the numbers"),
        (
            {"embedding": {"shared": 2, "trainable": True, "noise": 0.1}},
            "`embedding.noise` does not go",
        ),
        ({"tasks": 0}, "greater than or equal to 1"),
    ],
)
def test_tasks_that_cannot_be_told_apart_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HypernetworkConfig.model_validate({"main": SMALL_MLP, "tasks": 3, **change})


def test_inputs_without_a_number_of_their_task_are_refused() -> None:
    config = HypernetworkConfig.model_validate(
        {"tasks": 3, "embedding": {"size": 0, "shared": 2, "trainable": True}}
    )
    with pytest.raises(UserError, match="one channel only"):
        Hypernetwork(config).build(1, 1, 1)
