from __future__ import annotations

import pytest
import torch

from initbench.errors import UserError
from initbench.models.tracing import anatomy
from initbench.models.zoo_cnn import ZooCNN


def build(channels: int = 1, classes: int = 10, **config: object) -> torch.nn.Module:
    return ZooCNN(ZooCNN.Config.model_validate(config)).build(channels, 28, classes)


@pytest.mark.parametrize(("channels", "parameters"), [(1, 2464), (3, 2864)])
def test_has_the_parameters_of_the_paper(channels: int, parameters: int) -> None:
    assert sum(p.numel() for p in build(channels).parameters()) == parameters


def test_has_the_shapes_of_the_paper() -> None:
    network = build()
    x = torch.zeros(2, 1, 28, 28)
    shapes = {}
    for name, module in network.named_children():
        x = module(x)
        shapes[name] = tuple(x.shape[1:])
    assert shapes["conv1"] == (8, 24, 24)
    assert shapes["activation1"] == (8, 12, 12)
    assert shapes["conv2"] == (6, 8, 8)
    assert shapes["activation2"] == (6, 4, 4)
    assert shapes["activation3"] == (4, 3, 3)
    assert shapes["flatten"] == (36,)
    assert shapes["linear1"] == (20,)
    assert shapes["linear2"] == (10,)


def test_equals_a_forward_pass_written_by_hand() -> None:
    functional = torch.nn.functional
    network = build(channels=3, activation="sigmoid").eval()
    w = dict(network.named_parameters())
    images = torch.randn(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    x = functional.conv2d(images, w["conv1.weight"], w["conv1.bias"])
    x = torch.sigmoid(functional.max_pool2d(x, 2, 2))
    x = functional.conv2d(x, w["conv2.weight"], w["conv2.bias"])
    x = torch.sigmoid(functional.max_pool2d(x, 2, 2))
    x = torch.sigmoid(functional.conv2d(x, w["conv3.weight"], w["conv3.bias"]))
    x = x.reshape(4, 36)  # index = channel * 9 + 3 * row + column
    x = torch.sigmoid(x @ w["linear1.weight"].T + w["linear1.bias"])
    logits = x @ w["linear2.weight"].T + w["linear2.bias"]
    torch.testing.assert_close(network(images), logits)


def test_pooling_comes_before_the_activation() -> None:
    order = [name for name, _ in build().named_children()]
    assert order.index("pool1") < order.index("activation1")
    assert order.index("pool2") < order.index("activation2")


def test_tanh_follows_all_layers_but_the_head_by_default() -> None:
    following = [layer.activation for layer in anatomy(build())]
    assert following == ["tanh", "tanh", "tanh", "tanh", "identity"]


def test_dropout_acts_in_training_only() -> None:
    network = build(dropout=0.5)
    images = torch.randn(2, 1, 28, 28)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_another_image_size_is_refused_with_the_size_it_needs() -> None:
    model = ZooCNN(ZooCNN.Config())
    assert model.image_size() == 28
    with pytest.raises(UserError, match=r"28 x 28 pixels, got 32 x 32"):
        model.build(1, 32, 10)


def test_it_is_built_contiguous_and_laid_out_channels_last_without_changing_its_function() -> None:
    model = ZooCNN(ZooCNN.Config())
    network = model.build(3, 28, 10)
    assert all(parameter.is_contiguous() for parameter in network.parameters())
    images = torch.randn(5, 3, 28, 28)
    before = network(images)
    laid_out = model.laid_out(network)
    assert laid_out.conv2.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(laid_out(images), before)
