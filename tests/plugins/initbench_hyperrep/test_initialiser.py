"""A zoo is learnt, judged and sampled; what cannot be learnt from is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from initbench_hyperrep.augmentation import permuted
from initbench_hyperrep.fitted import Fitted
from initbench_hyperrep.initialiser import HyperRepresentation
from initbench_hyperrep.options import HyperRepresentationConfig
from torch import nn

from initbench.api import (
    Artifact,
    Checkpoint,
    PluginError,
    Target,
    UnsupportedError,
    UserError,
    Zoo,
    ZooSource,
)
from initbench.errors import InitbenchError
from initbench.models.cifar_resnet import CifarResNet, CifarResNetConfig
from initbench.models.tracing import anatomy
from initbench.plugin.configuration import configured
from tests.plugins.initbench_hyperrep.support import (
    EPOCHS,
    fitted,
    initialised,
    target,
    zoo,
    zoo_cnn,
    zoo_table,
)

SAMPLERS = ["kde_independent", "kde_shared", "kde_full", "diffusion", "reconstruction"]


@pytest.fixture(scope="module")
def learnt() -> tuple[HyperRepresentation, Artifact, nn.Module]:
    return fitted({})


def sampled(artifact: Artifact, seed: int = 0, **options: Any) -> tuple[dict[str, Any], str]:
    network = zoo_cnn()
    initialiser = HyperRepresentation(HyperRepresentationConfig(**options))
    coverage = initialised(initialiser, artifact, network, seed)
    assert coverage.missing() == []
    return network.state_dict(), coverage.entries["conv1.weight"].reason


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_seed_draws_a_sample_of_its_own(learnt: Any, sampler: str) -> None:
    before = torch.get_rng_state()
    first, same, other = (sampled(learnt[1], s, sampler=sampler)[0] for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before), "it drew from torch's own generator"
    assert all(torch.equal(x, same[name]) for name, x in first.items())
    assert not all(torch.equal(x, other[name]) for name, x in first.items())
    assert all(x.isfinite().all() for x in first.values())


def test_a_copy_is_called_a_copy(learnt: Any) -> None:
    assert "A COPY" in sampled(learnt[1], sampler="reconstruction")[1]


def test_only_the_best_networks_are_sampled_from(learnt: Any) -> None:
    read = Fitted.of(learnt[1])
    draws = torch.Generator().manual_seed(0)
    found = read.draw("reconstruction", 200, 0.3, draws, 0.002, "paper")
    used = {int((read.latents == row).all(1).nonzero()[0]) for row in found}
    accuracy = read.accuracy["validation"]
    best = set((accuracy >= accuracy.quantile(0.7)).nonzero().flatten().tolist())
    assert used == best


def test_the_judgement_is_kept_for_show(learnt: Any) -> None:
    description = learnt[1].description
    assert json.loads(json.dumps(description)) == description
    table = description["diagnostics"]
    parts = [row[0] for row in table["rows"]]
    assert parts[:2] == ["originals", "conv1.weight"]
    assert parts[6:] == ["whole network", "mean network", *(f"samples: {x}" for x in SAMPLERS)]
    variances = [row[table["columns"].index("variance")] for row in table["rows"]]
    assert [x is None for x in variances] == [True] * 8 + [False] * 5
    copied = dict(zip(table["columns"], table["rows"][-1], strict=True))
    assert copied["latent_distance"] == pytest.approx(0, abs=1e-6)
    assert any("is reconstructed in" in text for text in description["warnings"])
    pictures = [x for name, x in learnt[1].tensors.items() if name.startswith("examples.")]
    assert len(pictures) == 5
    assert {x.shape for x in pictures} == {torch.Size((3, 32, 64))}


def test_a_fit_is_the_same_again(learnt: Any) -> None:
    again = fitted({})[1]
    assert again.description == learnt[1].description
    torch.testing.assert_close(
        dict(again.tensors), dict(learnt[1].tensors), rtol=0, atol=0, equal_nan=True
    )


def test_configurations_that_differ_in_sampling_share_the_fit() -> None:
    def fit_of(**options: Any) -> HyperRepresentationConfig:
        return HyperRepresentation(HyperRepresentationConfig(**options)).fit_config()

    assert fit_of(top=0.3, sampler="kde_shared", dataset="usps") == fit_of()
    assert fit_of(layer_normalised=False) != fit_of()
    assert fit_of(preset="small") != fit_of()


@pytest.mark.parametrize(
    ("dataset", "recipe", "start"),
    [("mnist", "schuerholt2022_mnist", "uniform"), ("svhn", "schuerholt2022_svhn", "uniform"),
     ("usps", "schuerholt2022_usps", "he"), ("cifar10", "schuerholt2022_cifar10", "he"),
     ("stl10", "schuerholt2022_stl10", "he")],
)  # fmt: skip
def test_the_zoo_is_that_of_the_paper(dataset: str, recipe: str, start: str) -> None:
    initialiser = HyperRepresentation(HyperRepresentationConfig())
    found = initialiser.sources(Target("zoo_cnn", {}, dataset, {}, {}, 10, anatomy(zoo_cnn())))[0]
    assert isinstance(found, ZooSource)
    assert found.recipe == {"name": recipe, "epochs": 25}
    assert (found.initialiser, found.count) == (start, 1000)
    assert list(found.checkpoints) == [21, 22, 23, 24, 25]


def test_the_zoo_of_other_data_follows_the_recipe_of_the_target() -> None:
    given = {"batch_size": 32, "epochs": 10, "evaluation": {"test_epochs": [9]}}
    other = Target("zoo_cnn", {}, "digits", {}, given, 10, anatomy(zoo_cnn()))
    config = HyperRepresentationConfig(epochs=3, fidelity="code")
    found = HyperRepresentation(config).sources(other)[0]
    assert isinstance(found, ZooSource)
    assert found.recipe == {
        "batch_size": 32,
        "epochs": 3,
        "evaluation": {"test_epochs": [1, 2, 3]},
    }


def test_the_code_chooses_by_test_accuracy() -> None:
    with pytest.raises(PluginError, match="was not tested"):
        fitted({"fidelity": "code"})
    whole = zoo(zoo_cnn())
    tested = [
        replace(
            member,
            checkpoints={
                epoch: Checkpoint(x.weights, x.validation_accuracy, 1 - x.validation_accuracy)
                for epoch, x in member.checkpoints.items()
            },
        )
        for member in whole
    ]
    artifact = fitted({"fidelity": "code"}, networks=Zoo(tested))[1]
    read = Fitted.of(artifact)
    found = read.draw("reconstruction", 99, 0.3, torch.Generator(), 0.0, "code")
    worst = read.latents[read.accuracy["validation"] <= read.accuracy["validation"].median()]
    assert all((worst == row).all(1).any() for row in found)


def test_shuffled_networks_are_learnt_in_one_order() -> None:
    network = zoo_cnn()
    table, members = zoo_table(), list(zoo(network))
    rows = torch.stack([table.flatten(x.checkpoints[5].weights) for x in members[:1]])
    draws = torch.Generator().manual_seed(0)
    shuffled = []
    for member in members:
        orders = {i: torch.randperm(table.layers[i].neurons, generator=draws) for i in range(4)}
        row = permuted(rows, table, {i: x[None] for i, x in orders.items()})[0]
        kept = {
            epoch: replace(x, weights=table.state(row)) for epoch, x in member.checkpoints.items()
        }
        shuffled.append(replace(member, checkpoints=kept))
    options = {"align": True, "permute": False}
    description = fitted(options, network, Zoo(shuffled))[1].description
    assert description["permuted_layers"] == []
    assert len(description["aligned_layers"]) == 4
    assert description["variance_after_alignment"] == pytest.approx(0, abs=1e-9)


def test_networks_with_batch_norm_get_statistics_from_images() -> None:
    network = CifarResNet(CifarResNetConfig(depth=20)).build(1, 6, 10)
    initialiser, artifact, network = fitted(
        {"images": 20, "training_epochs": 1}, network, zoo(network, count=3), size=6
    )
    assert len(artifact.description["permuted_layers"]) == 9
    coverage = initialised(initialiser, artifact, network, size=6)
    assert coverage.buffers
    mean = network.get_buffer("norm.running_mean")
    assert float(mean.abs().max()) > 0
    bare = HyperRepresentation(HyperRepresentationConfig())
    assert "`images`" in bare.supports(anatomy(network)).reason


def broken(member: Any) -> Any:
    weights = {**member.checkpoints[4].weights, "conv2.bias": torch.full((6,), float("nan"))}
    return replace(member, checkpoints={**member.checkpoints, 4: Checkpoint(weights, 0.1, None)})


def test_networks_with_nan_are_left_out_and_counted() -> None:
    members = list(zoo(zoo_cnn()))
    some = Zoo([broken(members[0]), *members[1:]], missing=2)
    description = fitted({}, networks=some)[1].description
    assert (description["networks"], description["dropped"], description["missing"]) == (9, 1, 2)
    assert description["warnings"][0].startswith("1 networks of the zoo")
    with pytest.raises(PluginError, match="none of the 10 networks of the zoo has finite weights"):
        fitted({}, networks=Zoo([broken(x) for x in members]))


def test_zoos_that_cannot_be_learnt_from_are_refused() -> None:
    with pytest.raises(UserError, match="too small to split"):
        fitted({}, networks=zoo(zoo_cnn(), count=2))
    with pytest.raises(PluginError, match="leaves 1 checkpoint to learn from"):
        fitted({"checkpoints": [5]}, networks=zoo(zoo_cnn(), count=3))
    with pytest.raises(UnsupportedError, match=r"expected `conv1.weight` of shape \(8, 1, 5, 5\)"):
        fitted({}, networks=zoo(zoo_cnn(channels=3)))


def test_a_target_of_another_architecture_is_refused(learnt: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"`conv1.weight` \(8, 1, 5, 5\), the network has"):
        initialised(learnt[0], learnt[1], zoo_cnn(channels=3))
    deeper = nn.Sequential()
    for name, module in zoo_cnn().named_children():
        deeper.add_module(name, module)
    deeper.add_module("more", nn.Linear(10, 10))
    with pytest.raises(UnsupportedError, match="5 layers, the network has 6"):
        initialised(learnt[0], learnt[1], deeper)


def test_an_artifact_of_another_method_is_refused(learnt: Any) -> None:
    with pytest.raises(PluginError, match="fit it again"):
        initialised(learnt[0], Artifact({}, {"method": "slice_vae", "format": 1}), zoo_cnn())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"contrast": "positives_only"}, "needs `fidelity: code`"),
     ({"heads": 3}, "multiple of `heads`"), ({"align": True}, "needs `permute: false`"),
     ({"epochs": 5, "checkpoints": [6]}, "`checkpoints` ends with epoch 6"),
     ({"networks": 2}, "networks"), ({"top": 0}, "top"), ({"sampler": "kde"}, "sampler"),
     ({"latnet": 3}, "latent")],
)  # fmt: skip
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InitbenchError, match=message):
        configured("initialiser `hyper_representation`", HyperRepresentationConfig, options)


def test_the_last_checkpoints_are_learnt_from() -> None:
    assert HyperRepresentationConfig(epochs=3).kept == [1, 2, 3]
    assert HyperRepresentationConfig(checkpoints=[0, 25, 3]).kept == [0, 3, 25]
    assert target(zoo_cnn()).anatomy.traced
    assert EPOCHS == (4, 5)
