from __future__ import annotations

import os
from importlib import metadata

import pytest
import torch
from torch import nn

from initbench.errors import UserError
from initbench.models.library import adapt_channels, loading_weights, version_with


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))


def test_a_network_for_grey_images_answers_as_for_three_equal_channels() -> None:
    grey = network()
    adapt_channels(grey, 1)
    image = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(grey(image), network()(image.expand(-1, 3, -1, -1)))
    assert grey.get_submodule("0").in_channels == 1


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_the_colours_recur_for_other_numbers_of_channels(channels: int) -> None:
    adapted, original = network(), network()
    adapt_channels(adapted, channels)
    weight = adapted.get_parameter("0.weight")
    assert weight.shape == (4, channels, 3, 3)
    for channel in range(channels):
        expected = original.get_parameter("0.weight")[:, channel % 3] * 3 / channels
        torch.testing.assert_close(weight[:, channel], expected)
    assert adapted(torch.zeros(1, channels, 8, 8)).shape == (1, 2, 4, 4)


def test_rgb_stays_as_it_is() -> None:
    same = network()
    weight = same.get_parameter("0.weight")
    adapt_channels(same, 3)
    assert same.get_parameter("0.weight") is weight


def test_the_version_names_the_library_without_its_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "0.26.0+cu128")
    assert version_with("2", "torchvision") == "2 with torchvision 0.26.0"


def test_what_goes_wrong_while_weights_are_loaded_is_said_with_the_next_step() -> None:
    with pytest.raises(UserError) as raised, loading_weights("timm/x"):
        raise OSError("no route to host\nand much more")
    assert "model `timm/x`: its pretrained weights could not be loaded" in str(raised.value)
    assert "(OSError: no route to host)" in str(raised.value)
    assert "set `pretrained: false`" in str(raised.value)


@pytest.mark.parametrize("before", [None, "0"])
def test_objects_are_not_unpickled_while_weights_are_loaded(
    before: str | None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    monkeypatch.delenv(variable, raising=False)
    if before is not None:
        monkeypatch.setenv(variable, before)
    folder = tmp_path_factory.mktemp("weights")
    file = folder / "model.pth"
    torch.save({"weights": torch.zeros(2), "object": nn.Linear(1, 1)}, file)
    with pytest.raises(UserError, match="Weights only load failed"), loading_weights("timm/x"):
        # What libraries call; left alone, it would unpickle objects.
        torch.hub.load_state_dict_from_url(file.as_uri(), str(folder / "cache"), progress=False)
    assert os.environ.get(variable) == before
