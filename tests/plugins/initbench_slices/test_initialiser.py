"""What every local initialiser promises, whatever its model of a slice."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from initbench_slice_vae.controls import Gaussian, Permuted, Resampled
from initbench_slice_vae.initialiser import SliceVAEInitialiser
from initbench_slices import training
from initbench_slices.initialiser import LocalConfig, LocalInitialiser
from initbench_vqvae.initialiser import VQVAE, VQVAEStar
from torch import nn

from initbench.api import Artifact, PluginError, Treatment, ZooSource
from initbench.models.tracing import anatomy
from tests.plugins.initbench_slices.support import Small, fit, initialise, target, zoo

MODELS = (SliceVAEInitialiser, VQVAE, VQVAEStar)
INITIALISERS = (*MODELS, Resampled, Permuted, Gaussian)
each_initialiser = pytest.mark.parametrize("cls", INITIALISERS, ids=lambda x: x.name)

GENERATED = ["stem", "stage.0", "stage.1", "depthwise", "even"]


def made(cls: type[LocalInitialiser], **options: Any) -> LocalInitialiser:
    short = {"least_steps": 8} if cls in MODELS else {}
    return cls(cls.Config(**short, **options))


@pytest.fixture(scope="module", autouse=True)
def short_epochs() -> Iterator[None]:
    """Let fits take a second: the shortest published training is 150 epochs for such layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "EPOCHS", {48: 3})
        yield


@cache
def fitted(cls: type[LocalInitialiser]) -> Artifact:
    return fit(made(cls))


def collapsed() -> Artifact:
    """An artifact in which the samples of one layer have no spread."""
    artifact = copy.deepcopy(fitted(Gaussian))
    artifact.description["layers"][1]["ratio"] = 0.1  # type: ignore[index]
    return artifact


@each_initialiser
def test_every_parameter_is_set_by_its_rule_and_said_to_be(cls: type[LocalInitialiser]) -> None:
    network = Small()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(7.0)
    coverage = initialise(network, made(cls), fitted(cls))
    treatments = {name: entry.treatment for name, entry in coverage}
    assert coverage.missing() == []
    for name in GENERATED:
        assert treatments[f"{name}.weight"] is Treatment.GENERATED
    for name in ("mix", "flat"):
        assert treatments[f"{name}.weight"] is Treatment.FALLBACK
        assert "Xavier" in dict(coverage)[f"{name}.weight"].reason
    assert treatments["head.weight"] is Treatment.RULE
    assert treatments["scale"] is Treatment.UNTOUCHED
    assert (network.norm.weight == 1).all()
    assert (network.norm.bias == 0).all()
    for name, parameter in network.named_parameters():
        assert (treatments[name] is Treatment.UNTOUCHED) == bool((parameter == 7).all()), name


@each_initialiser
def test_same_seed_same_weights_other_seed_other_weights(cls: type[LocalInitialiser]) -> None:
    networks = [Small(), Small(), Small()]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        initialise(network, made(cls), fitted(cls), seed)
    first, second, other = (dict(network.named_parameters()) for network in networks)
    for name in (*GENERATED, "head", "mix"):
        weight = f"{name}.weight"
        assert torch.equal(first[weight], second[weight])
        assert not torch.equal(first[weight], other[weight])


@each_initialiser
def test_fitting_again_gives_the_same_artifact(cls: type[LocalInitialiser]) -> None:
    again = fit(made(cls))
    first = fitted(cls)
    assert again.description == first.description
    assert all(torch.equal(again.tensors[name], x) for name, x in first.tensors.items())


@each_initialiser
def test_the_global_generator_is_neither_used_nor_moved(cls: type[LocalInitialiser]) -> None:
    torch.manual_seed(5)
    network = Small()
    before = torch.get_rng_state()
    initialise(network, made(cls), fitted(cls))
    fit(made(cls))
    assert torch.equal(torch.get_rng_state(), before)


@each_initialiser
def test_diagnostics_have_a_row_for_each_layer(cls: type[LocalInitialiser]) -> None:
    table = fitted(cls).description["diagnostics"]
    assert [row[0] for row in table["rows"]] == [f"{name}.weight" for name in GENERATED]
    assert table["columns"][:5] == ["layer", "slices", "data_std", "sample_std", "ratio"]
    assert all(len(row) == len(table["columns"]) for row in table["rows"])


@each_initialiser
def test_a_deeper_and_wider_network_is_initialised_and_said_to_be_extrapolated(
    cls: type[LocalInitialiser],
) -> None:
    deeper, wider = Small(depth=5), Small(width=6)
    coverage = dict(initialise(deeper, made(cls), fitted(cls)))
    assert "nearest in relative depth" in coverage["stage.3.weight"].reason
    coverage = dict(initialise(wider, made(cls), fitted(cls)))
    assert "another width" in coverage["stage.0.weight"].reason
    assert deeper.stage[3].weight.std() > 0


def test_a_kernel_size_that_was_not_trained_falls_back() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.Conv2d(4, 3, 3))
    entry = dict(initialise(network, made(Gaussian), fitted(Gaussian)))["0.weight"]
    assert entry.treatment is Treatment.FALLBACK
    assert "no layer with a 5 x 5 kernel" in entry.reason


def test_networks_without_kernels_are_not_supported() -> None:
    initialiser = made(Gaussian)
    plain = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Flatten(), nn.Linear(256, 3))
    answer = initialiser.supports(anatomy(plain, torch.zeros(2, 1, 8, 8)))
    assert not answer.supported
    assert "1 x 1 kernel" in answer.reason
    assert initialiser.supports(anatomy(Small(), torch.zeros(2, 1, 8, 8))).supported


def test_all_local_initialisers_ask_for_the_same_zoo() -> None:
    zoos = {str(made(cls).sources(target(Small()))) for cls in INITIALISERS}
    assert len(zoos) == 1
    (source,) = made(Gaussian).sources(target(Small()))
    assert source == ZooSource(
        100, initialiser="he", initialiser_config={"gain": "relu", "bias": "default"}
    )


def test_the_zoo_may_be_of_another_model_and_data_set() -> None:
    config = LocalConfig(
        networks=7,
        zoo_model="cifar_resnet",
        zoo_model_config={"depth": 20},
        zoo_dataset="cifar10",
        zoo_recipe="harder2023_cifar10",
    )
    (source,) = Gaussian(config).sources(target(Small()))
    assert (source.count, source.model, source.model_config) == (7, "cifar_resnet", {"depth": 20})
    assert (source.dataset, source.recipe) == ("cifar10", "harder2023_cifar10")


@pytest.mark.parametrize(
    ("head", "variance"), [("xavier", 2 / 503), ("he", 2 / 500), ("default", 1 / 1500)]
)
def test_the_head_rule_is_followed(head: str, variance: float) -> None:
    network = nn.Sequential(nn.Conv2d(1, 500, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                            nn.Linear(500, 3))  # fmt: skip
    variances = []
    for seed in range(20):
        coverage = initialise(network, made(Gaussian, head=head), fitted(Gaussian), seed)
        assert dict(coverage)["3.weight"].reason == f"head rule: {head}"
        variances.append(float(network[3].weight.detach().var()))
    assert sum(variances) / len(variances) == pytest.approx(variance, rel=0.05)


def test_a_collapse_is_a_warning_an_error_or_a_fallback() -> None:
    class Flat(Gaussian):
        """Samples of a hundredth of the spread."""

        def sample(self, tensors: Any, *rest: Any) -> list[torch.Tensor]:
            return [x * 0.01 for x in super().sample(tensors, *rest)]

    (text,) = fit(made(Flat)).description["warnings"]
    assert text.startswith("5 of 5 layers collapsed")
    assert "`stem.weight` (0.01)" in text
    with pytest.raises(PluginError, match=r"5 of 5 layers collapsed.*`on_collapse"):
        fit(made(Flat, on_collapse="error"))
    assert fit(made(Gaussian)).description["warnings"] == []


def test_a_collapsed_layer_is_named_or_left_to_xavier() -> None:
    warned = dict(initialise(Small(), made(Gaussian), collapsed()))["stage.0.weight"]
    assert warned.treatment is Treatment.GENERATED
    assert "COLLAPSED to 0.1" in warned.reason
    spared = dict(initialise(Small(), made(Gaussian, on_collapse="fallback"), collapsed()))
    assert spared["stage.0.weight"].treatment is Treatment.FALLBACK
    assert "the model of `stage.0.weight` collapsed" in spared["stage.0.weight"].reason
    assert spared["stage.1.weight"].treatment is Treatment.GENERATED


@pytest.mark.parametrize(
    "artifact",
    [None, Artifact({}, {}), Artifact({}, {"method": "slice_gaussian", "format": 0}),
     Artifact({}, {"method": "slice_vae", "format": 1})],
)  # fmt: skip
def test_an_artifact_that_is_not_its_own_is_refused(artifact: Artifact | None) -> None:
    with pytest.raises(PluginError, match=r"`slice_gaussian` (needs a fitted|expected a fitted)"):
        initialise(Small(), made(Gaussian), artifact)


def test_too_small_a_zoo_is_refused() -> None:
    with pytest.raises(PluginError, match="at least 5"):
        fit(made(Gaussian), zoo(4))


def test_a_zoo_without_any_kernel_size_of_the_target_is_refused() -> None:
    class Other(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Conv2d(1, 4, 5), nn.Flatten(), nn.Linear(64, 3))

    with pytest.raises(PluginError, match=r"target has kernels of 2 x 2, 3 x 3, .* of 5 x 5"):
        fit(made(Gaussian, zoo_model="other"), zoo(network=Other))
    with pytest.raises(PluginError, match=r"of another architecture: expected `stem.weight`"):
        fit(made(Gaussian), zoo(network=Other))


def test_examples_are_kept_for_a_picture() -> None:
    examples = {n: x for n, x in fitted(Gaussian).tensors.items() if n.startswith("examples.")}
    assert len(examples) == len(GENERATED)
    assert examples["examples.00 stem.weight: 15 trained, 15 sampled"].shape == (30, 3, 3)
    assert examples["examples.04 even.weight: 16 trained, 16 sampled"].shape == (32, 2, 2)


def test_initialisers_are_importable_without_torch() -> None:
    modules = sorted({cls.__module__ for cls in INITIALISERS})
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
