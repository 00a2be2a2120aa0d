from __future__ import annotations

from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import nn
from torchvision import models
from torchvision.models import WeightsEnum

from initbench.errors import UserError
from initbench.plugin.registry import Registry
from tests.models.building import build, model_of, shapes_only


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: WeightsEnum, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("tried to load stored weights without being asked to")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", refuse)


def test_every_classifier_of_torchvision_resolves_and_tells_its_input_size() -> None:
    registry = Registry.installed()
    names = models.list_models(module=models)
    assert len(names) > 70
    for name in names:
        resolved = registry.model(f"torchvision/{name}")
        assert resolved.reference.name == resolved.thing.name == f"torchvision/{name}"
        assert 224 <= resolved.thing.image_size() <= 600
    assert registry.warnings == []


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 224), ("inception_v3", 299), ("efficientnet_b4", 380), ("vit_h_14", 224)],
)
def test_the_input_size_is_the_published_one_unless_configured(name: str, size: int) -> None:
    assert model_of(f"torchvision/{name}").image_size() == size
    assert model_of(f"torchvision/{name}", image_size=64).image_size() == 64


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("alexnet", {}),
        ("densenet121", {"image_size": 32}),
        ("googlenet", {}),
        ("inception_v3", {}),
        ("maxvit_t", {"image_size": 448}),
        ("mobilenet_v3_small", {"image_size": 32}),
        ("squeezenet1_1", {}),
        ("swin_t", {"image_size": 32}),
        ("vit_b_16", {"image_size": 32}),
    ],
)
def test_takes_grey_images_any_number_of_classes_and_the_configured_size(
    name: str, config: dict[str, int]
) -> None:
    model = model_of(f"torchvision/{name}", **config)
    size = model.image_size()
    network = shapes_only(model, channels=1, classes=7)
    assert network.training
    assert network(torch.empty(2, 1, size or 0, size or 0, device="meta")).shape == (2, 7)


def test_equals_torchvisions_own_network_from_the_same_seed() -> None:
    torch.manual_seed(3)
    expected = models.shufflenet_v2_x0_5(weights=None, num_classes=10).state_dict()
    torch.manual_seed(3)
    network = build(model_of("torchvision/shufflenet_v2_x0_5"))
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_the_reference_names_the_version_of_torchvision_and_what_was_configured() -> None:
    reference = Registry.installed().model("torchvision/resnet18", {"pretrained": True}).reference
    version = torchvision.__version__.partition("+")[0]
    assert reference.tree() == {
        "name": "torchvision/resnet18",
        "config": {"pretrained": True, "image_size": None},
        "code": {"distribution": "initbench", "version": f"1 with torchvision {version}"},
    }


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("torchvision/resnet81", "unknown classifier of torchvision `resnet81`; did you mean `res"),
        ("torchvision/fcn_resnet50", "unknown classifier of torchvision `fcn_resnet50`"),
        ("torchvision/", "unknown classifier of torchvision ``"),
        ("resnet18", "unknown model `resnet18`; did you mean .*`torchvision/resnet18`"),
    ],
)
def test_unknown_names_are_refused_with_the_closest_ones(name: str, answer: str) -> None:
    with pytest.raises(UserError, match=f"^{answer}"):
        Registry.installed().load("model", name)


def test_a_name_that_resembles_nothing_gets_the_list_without_the_families() -> None:
    with pytest.raises(UserError) as raised:
        Registry.installed().load("model", "qqq")
    assert "known: `all_cnn_c`, `cifar_resnet`" in str(raised.value)
    assert "/" not in str(raised.value)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "googlenet"])
def test_stored_weights_are_loaded_when_asked_for_and_only_the_head_is_new(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    stored: nn.Module = models.get_model(name, weights=None)
    asked: list[dict[str, Any]] = []

    def get_state_dict(self: WeightsEnum, **options: Any) -> dict[str, torch.Tensor]:
        asked.append(options)
        return stored.state_dict()

    monkeypatch.setattr(WeightsEnum, "get_state_dict", get_state_dict)
    model = model_of(f"torchvision/{name}", pretrained=True)
    w = dict(stored.named_parameters())

    network = build(model, classes=7)
    assert [options["check_hash"] for options in asked] == [True]
    head = list(network.named_parameters())[-2:]
    assert {parameter.shape[0] for _, parameter in head} == {7}
    body = dict(list(network.named_parameters())[:-2])
    assert all(torch.equal(parameter, w[name]) for name, parameter in body.items())
    assert not any(name.startswith(("aux", "Aux")) for name in body)

    whole = build(model, channels=1, classes=1000)
    assert torch.equal(dict(whole.named_parameters())[head[0][0]], w[head[0][0]])
    assert whole(torch.zeros(2, 1, 64, 64)).shape == (2, 1000)


def test_without_network_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_state_dict(self: WeightsEnum, **options: Any) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", get_state_dict)
    with pytest.raises(UserError, match=r"`torchvision/resnet18`.*URLError.*pretrained: false"):
        build(model_of("torchvision/resnet18", pretrained=True))
