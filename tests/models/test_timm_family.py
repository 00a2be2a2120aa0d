from __future__ import annotations

from typing import Any

import pytest
import torch

from initbench.errors import UserError
from initbench.models import timm_family
from initbench.plugin.registry import Registry
from tests.models.building import build, model_of, shapes_only


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """timm, which must not load stored weights unless a test asks for it."""
    library = pytest.importorskip("timm", reason="timm is not installed")

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("tried to load stored weights without being asked to")

    monkeypatch.setattr("timm.models._builder.load_pretrained", refuse)
    return library


def test_without_timm_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_family, "find_spec", lambda name: None)
    registry = Registry.installed()
    with pytest.raises(UserError, match=r"pip install 'initbench\[timm\]'"):
        registry.model("timm/resnet18")
    assert not any(name.startswith("timm/") for name in registry.names("model"))
    with pytest.raises(UserError, match=r"did you mean `torchvision/resnet18`\?"):
        registry.model("resnet18")


def test_every_architecture_of_timm_resolves_and_tells_its_input_size(timm: Any) -> None:
    registry = Registry.installed()
    names = timm.list_models()
    assert len(names) > 500
    for name in names[::10]:
        resolved = registry.model(f"timm/{name}")
        assert resolved.reference.name == resolved.thing.name == f"timm/{name}"
        assert resolved.thing.image_size() >= 64
        assert resolved.thing.licence
    assert registry.warnings == []


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("resnet18", {}),
        ("resnet18.a1_in1k", {"image_size": 32}),
        ("efficientnet_b0", {}),
        ("vit_tiny_patch16_224", {"image_size": 64}),
        ("mixer_s32_224", {"image_size": 64}),
        ("convnext_atto", {"image_size": 32}),
        ("levit_128s", {}),
    ],
)
def test_takes_grey_images_any_number_of_classes_and_the_configured_size(
    timm: Any, name: str, config: dict[str, int]
) -> None:
    model = model_of(f"timm/{name}", **config)
    size = model.image_size()
    assert size == config.get("image_size", timm.get_pretrained_cfg(name).input_size[-1])
    network = shapes_only(model, channels=1, classes=7)
    assert network(torch.empty(2, 1, size or 0, size or 0, device="meta")).shape == (2, 7)


def test_equals_timms_own_network_from_the_same_seed(timm: Any) -> None:
    torch.manual_seed(3)
    expected = timm.create_model("test_vit", num_classes=10).state_dict()
    torch.manual_seed(3)
    network = build(model_of("timm/test_vit"))
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_the_reference_names_the_version_of_timm_and_what_was_configured(timm: Any) -> None:
    reference = Registry.installed().model("timm/resnet18", {"image_size": 32}).reference
    assert reference.tree() == {
        "name": "timm/resnet18",
        "config": {"pretrained": False, "image_size": 32},
        "code": {"distribution": "initbench", "version": f"1 with timm {timm.__version__}"},
    }


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("timm/resnet81", "unknown model of timm `resnet81`; did you mean `resnet"),
        ("timm/resnet18.no_such_weights", "unknown model of timm `resnet18.no_such_weights`"),
        ("timm/local-dir/etc", "unknown model of timm `local-dir/etc`"),
        ("vit_tiny_patch16_224", "unknown model `.*`; did you mean `timm/vit_tiny_patch16_224`"),
    ],
)
def test_unknown_names_are_refused_with_the_closest_ones(timm: Any, name: str, answer: str) -> None:
    with pytest.raises(UserError, match=f"^{answer}"):
        Registry.installed().load("model", name)


def test_stored_weights_are_loaded_when_asked_for(
    timm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def load(network: torch.nn.Module, **options: Any) -> None:
        asked.append(options)

    monkeypatch.setattr("timm.models._builder.load_pretrained", load)
    build(model_of("timm/test_resnet", pretrained=True), channels=1, classes=7)
    (options,) = asked
    assert (options["num_classes"], options["in_chans"]) == (7, 1)


def test_without_network_it_says_what_to_do(timm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(network: torch.nn.Module, **options: Any) -> None:
        raise FileNotFoundError("cannot find the requested files in the local cache")

    monkeypatch.setattr("timm.models._builder.load_pretrained", load)
    with pytest.raises(UserError, match=r"`timm/test_resnet`.*FileNotFound.*pretrained: false"):
        build(model_of("timm/test_resnet", pretrained=True))
