"""`initbench.initialise` in somebody's own script: same seed, same weights, all accounted."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import initbench
from initbench.api import Treatment
from initbench.errors import UserError
from initbench.models.tracing import anatomy
from initbench.plugin.apply import apply
from initbench.plugin.registry import Registry
from tests.plugin.worlds import World, good, world

__all__ = ["world"]


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))


def weights(net: nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(x.equal(y) for x, y in zip(weights(a), weights(b), strict=True))


def test_same_seed_same_weights() -> None:
    first, second, third = network(), network(), network()
    coverage = initbench.initialise(first, "he", seed=4)
    initbench.initialise(second, "he", seed=4)
    initbench.initialise(third, "he", seed=5)
    assert coverage.missing() == []
    assert coverage.share(Treatment.GENERATED) > 0.9
    assert same(first, second)
    assert not same(first, third)


def test_the_weights_are_those_of_a_trial_with_this_seed() -> None:
    one, other = network(), network()
    initbench.initialise(one, "he", seed=4)
    he = Registry.installed().initialiser("he").thing
    apply(he, other, anatomy(other), seed=4)
    assert same(one, other)


def test_configuration_is_passed_by_keyword() -> None:
    fan_in, fan_out = network(), network()
    initbench.initialise(fan_in, "he")
    initbench.initialise(fan_out, "he", mode="fan_out")
    assert not same(fan_in, fan_out)
    with pytest.raises(UserError, match="initialiser `he`: `mood`: unknown key; did you mean"):
        initbench.initialise(network(), "he", mood="fan_out")


def test_the_callers_random_numbers_are_not_disturbed() -> None:
    net = network()
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    initbench.initialise(net, "orthogonal")
    assert torch.rand(3).equal(expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_kept(dtype: torch.dtype) -> None:
    net = network().to(dtype)
    initbench.initialise(net, "he")
    assert {parameter.dtype for parameter in net.parameters()} == {dtype}


def test_images_are_asked_for_where_they_are_needed() -> None:
    with pytest.raises(UserError, match=r"`lsuv` looks at 256 training images, got none; pass `im"):
        initbench.initialise(network(), "lsuv")
    with pytest.raises(UserError, match=r"`lsuv` looks at 256 training images, got 8; pass `imag"):
        initbench.initialise(network(), "lsuv", images=torch.randn(8, 1, 8, 8))


def test_a_data_dependent_initialiser_sees_the_images() -> None:
    images = torch.randn(300, 1, 8, 8) * 3 + 1
    net = network()
    initbench.initialise(net, "lsuv", images=images, tolerance=0.01)
    with torch.no_grad():
        assert net[0](images[:256]).var().item() == pytest.approx(1.0, abs=0.02)


LOOKS = """
    class Looks(Good):
        name = "looks"

        def images_needed(self):
            return 3

        def initialise(self, network, job):
            Looks.batch = job.batch
            return super().initialise(network, job)
"""


def test_labels_are_passed_on_and_never_made_up(world: World) -> None:
    source = good(extra=LOOKS)
    world.install("looks", {"initialiser.looks": "looks_init:Looks"}, {"looks_init.py": source})
    images, labels = torch.randn(5, 1, 8, 8, dtype=torch.float64), torch.arange(5)
    initbench.initialise(network(), "looks", images=images, labels=labels)
    import looks_init  # type: ignore[import-not-found]

    assert looks_init.Looks.batch.labels.tolist() == [0, 1, 2]
    assert looks_init.Looks.batch.images.dtype == torch.float32
    initbench.initialise(network(), "looks", images=images)
    logits = torch.randn(3, 10)
    assert nn.functional.cross_entropy(logits, looks_init.Looks.batch.labels).isnan()


def test_a_generative_initialiser_is_sent_to_a_suite(world: World) -> None:
    fit = "class Learns(Good):\n    name = 'learns'\n    def fit(self, inputs): ...\n"
    source = good(extra=fit)
    world.install("learns", {"initialiser.learns": "learns:Learns"}, {"learns.py": source})
    with pytest.raises(UserError, match=r"`learns` has to be fitted before .* in a suite"):
        initbench.initialise(network(), "learns")


def test_one_that_follows_another_learns_only_if_that_does() -> None:
    net = network()
    coverage = initbench.initialise(net, "orth", base="he", first_layer=1, beta=0)
    assert "then orthogonal by QR" in dict(coverage)["0.weight"].reason
    matrix = net[0].weight.detach().reshape(4, 9)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(4), rtol=0, atol=1e-5)
    with pytest.raises(UserError, match=r"`orth` has to be fitted before .* in a suite"):
        initbench.initialise(network(), "orth", base="slice_vae")


def test_what_an_initialiser_lacks_is_said_first() -> None:
    with pytest.raises(UserError, match="`ghn2`: there is no checkpoint `nowhere"):
        initbench.initialise(network(), "ghn2", checkpoint="nowhere.pt")


def test_a_network_without_parameters_is_refused() -> None:
    with pytest.raises(UserError, match="expected a network with parameters"):
        initbench.initialise(nn.ReLU(), "he")


class Hidden(nn.Module):
    """A network that can only be seen in use: its forward pass branches on values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        return self.last(torch.tanh(y) if y.sum() > 1e9 else torch.relu(y))


def test_the_size_of_an_input_may_be_given_for_networks_that_hide_their_layers() -> None:
    net = Hidden()
    coverage = initbench.initialise(net, "he", input_size=(4,))
    assert coverage.missing() == []


def test_what_a_plugin_should_not_do_becomes_a_warning(world: World) -> None:
    source = good("rude", "Rude = Good", at_import="print('hello')")
    world.install("rude-init", {"initialiser.rude": "rude:Rude"}, {"rude.py": source})
    with pytest.warns(UserWarning, match="`rude` of rude-init 1.0 printed `hello`") as caught:
        initbench.initialise(network(), "rude")
    assert Path(caught[0].filename) == Path(__file__)


def test_a_faultless_initialiser_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        initbench.initialise(network(), "he")
