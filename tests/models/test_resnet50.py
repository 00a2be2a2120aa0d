from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from initbench.models.anatomy import LayerKind, LayerRole
from initbench.models.resnet50 import ResNet50
from initbench.models.tracing import anatomy
from tests.models.building import parameters, shapes_only


def model(stem: str = "imagenet") -> ResNet50:
    return ResNet50(ResNet50.Config.model_validate({"stem": stem}))


@pytest.mark.parametrize(("stem", "count"), [("imagenet", 23_528_522), ("cifar", 23_520_842)])
def test_has_the_published_number_of_parameters(stem: str, count: int) -> None:
    assert parameters(shapes_only(model(stem))) == count


def test_roles_and_activations() -> None:
    found = anatomy(shapes_only(model("cifar"), channels=1, classes=2))
    layers = {layer.name: layer for layer in found.weight_layers()}
    assert len(layers) == 1 + 3 * 16 + 4 + 1
    assert (layers["conv1"].role, layers["conv1"].shape) == (LayerRole.STEM, (64, 1, 3, 3))
    head = layers.pop("fc")
    assert (head.role, head.activation, head.shape) == (LayerRole.HEAD, "identity", (2, 2048))
    # The last convolution of a block and its projection meet in a sum, and a ReLU follows that.
    assert {layer.activation for layer in layers.values()} == {"relu"}
    assert sum(layer.kind is LayerKind.NORM for layer in found) == 1 + 3 * 16 + 4


def test_the_small_stem_is_the_middle_of_the_published_one_and_no_pooling_follows() -> None:
    torch.manual_seed(0)
    published = torchvision.models.resnet50(weights=None, num_classes=4)
    torch.manual_seed(0)
    network = model("cifar").build(3, 32, 4).eval()
    w = dict(published.named_parameters())
    for name, parameter in network.named_parameters():
        expected = w[name][:, :, 2:5, 2:5] if name == "conv1.weight" else w[name]
        assert torch.equal(parameter, expected), name
    assert isinstance(network.maxpool, nn.Identity)
    sizes = []
    network.layer1.register_forward_hook(lambda _, args, out: sizes.append(args[0].shape[-1]))
    network.layer4.register_forward_hook(lambda _, args, out: sizes.append(out.shape[-1]))
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 4)
    assert sizes == [32, 4]


def test_tells_the_image_size_of_its_stem_and_the_version_of_torchvision() -> None:
    assert model().image_size() == 224
    assert model("cifar").image_size() is None
    assert torchvision.__version__.partition("+")[0] in str(ResNet50.version)
