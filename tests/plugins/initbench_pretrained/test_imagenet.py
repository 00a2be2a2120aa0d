"""ImageNet weights come from files that are there, are checked, and fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from initbench_pretrained.imagenet import ImageNetConfig, ImageNetPretrained, centre
from pydantic import ValidationError
from torch import Tensor, nn

from initbench.api import Treatment, UnsupportedError
from initbench.models.tracing import anatomy
from initbench.plugin.apply import apply


class Net(nn.Module):
    def __init__(self, kernel: int = 3, classes: int = 4, width: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.conv(x)).relu().mean((2, 3)))  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)


def trained() -> Net:
    torch.manual_seed(0)
    network = Net(7, 1000)
    network.norm.running_mean.fill_(3.0)  # type: ignore[union-attr]
    return network


def kept(folder: Path, content: Any = None) -> ImageNetPretrained:
    """Keep weights as torchvision names them, and return the initialiser that reads them."""
    folder.mkdir(parents=True)
    torch.save(trained().state_dict() if content is None else content, folder / "net.pth")
    digest = hashlib.sha256((folder / "net.pth").read_bytes()).hexdigest()
    name = f"net-{digest[:8]}.pth"
    (folder / "net.pth").rename(folder / name)
    return ImageNetPretrained(ImageNetConfig(files=("other.pth", name)))


@pytest.mark.parametrize("folder", ["data/pretrained", "torch/hub/checkpoints"])
def test_all_but_the_head_is_copied_and_the_centre_of_larger_kernels(
    tmp_path: Path, folder: str
) -> None:
    method, network, source = kept(tmp_path / folder), Net(), trained()
    head = network.fc.weight.detach().clone()
    coverage = apply(method, network, anatomy(network), seed=0).coverage
    assert torch.equal(network.conv.weight, source.conv.weight[:, :, 2:5, 2:5])
    assert torch.equal(network.norm.weight, source.norm.weight)
    assert torch.equal(network.norm.running_mean, torch.full((6,), 3.0))  # type: ignore[arg-type]
    assert torch.equal(network.fc.weight, head)
    entries = dict(coverage)
    assert entries["fc.bias"].treatment is Treatment.UNTOUCHED
    assert entries["conv.weight"].treatment is Treatment.GENERATED
    assert method.missing() == ""


def test_what_is_missing_is_said_with_how_to_get_it() -> None:
    text = ImageNetPretrained(ImageNetConfig()).missing()
    assert "none of `resnet50-0676ba61.pth`, `convnext_base-6075fbad.pth`" in text
    assert "torchvision.models.resnet50(weights='IMAGENET1K_V1')" in text


def test_a_network_that_no_file_fits_is_refused_with_the_reason(tmp_path: Path) -> None:
    method = kept(tmp_path / "data/pretrained")
    for network, reason in (
        (Net(width=8), r"no `conv.weight` of shape \(8, 3, 3, 3\)"),
        (Net(9), r"no `conv.weight` of shape \(6, 3, 9, 9\)"),
        (Net(4), r"no `conv.weight` of shape \(6, 3, 4, 4\)"),
    ):
        support = method.supports(anatomy(network, torch.zeros(2, 3, 8, 8)))
        assert not support.supported
        with pytest.raises(UnsupportedError, match=reason):
            apply(method, network, anatomy(network), seed=0)
    assert method.supports(anatomy(Net())).supported


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data/pretrained"
    folder.mkdir(parents=True)
    (folder / "net-00000000.pth").write_bytes(b"x")
    with pytest.raises(ValidationError, match="its name says 00000000"):
        ImageNetConfig(files=("net-00000000.pth",))
    method = kept(tmp_path / "torch/hub/checkpoints")
    name = method.config.files[1]
    with pytest.raises(ValidationError, match="expected 00ff"):
        ImageNetConfig(files=(name,), sha256={name: "00ff"})


@pytest.mark.parametrize("content", [[1, 2], {"a": 3}, {"a": Path("x")}])
def test_files_of_anything_but_tensors_are_refused(tmp_path: Path, content: Any) -> None:
    method = kept(tmp_path / "data/pretrained", content)
    assert not method.supports(anatomy(Net())).supported


def test_the_centre_is_that_of_the_kernel() -> None:
    kernel = torch.arange(49.0).reshape(1, 1, 7, 7)
    assert centre(kernel, (1, 1, 1, 1)).item() == 24
    assert torch.equal(centre(kernel, (1, 1, 7, 7)), kernel)
