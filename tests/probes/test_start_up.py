from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initbench.probes import start_up
from initbench.probes.probe import Checkpoint, Observation
from initbench.probes.start_up import QUANTILES, StartUp
from initbench.streams import Stream, generator
from tests.probes.looking import Population, Subject, alone, trial_record
from tests.training.networks import equal, network


def rectifier(seed: int = 0, *, norm: bool = True) -> nn.Sequential:
    """Convolution, perhaps batch norm, ReLU, linear layer, ReLU, linear layer."""
    torch.manual_seed(seed)
    middle = [nn.BatchNorm2d(4)] if norm else []
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        *middle,
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(4 * 36, 7),
        nn.ReLU(),
        nn.Linear(7, 3),
    )


def values(observation: Observation, quantity: str) -> dict[str, float]:
    names = observation.description["layers"][quantity]
    return dict(zip(names, observation.tensors[quantity].tolist(), strict=True))


def batch(population: Population, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.randperm(len(population.data.train), generator=generator(0, Stream.PROBE))
    return population.data.batch("train", order[:count])


@pytest.mark.parametrize("mode", ["batch_statistics", "eval"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_is_seen_is_what_a_slow_pass_by_hand_gives(mode: Any, smoothing: float) -> None:
    net = rectifier()
    population = alone(initial=net, trial=trial_record(label_smoothing=smoothing))
    seen = StartUp(batch=20, mode=mode).observe(population)

    conv, norm, _, _, linear, _, head = net.double()
    images, labels = batch(population, 20)
    first = conv(images.double()).detach().requires_grad_()
    mean, var = torch.zeros(4), torch.ones(4)
    if mode == "batch_statistics":
        mean, var = first.mean((0, 2, 3)), first.var((0, 2, 3), correction=0)
    scaled = (first - mean.view(-1, 1, 1)) / (var.view(-1, 1, 1) + norm.eps).sqrt()
    hidden = scaled * (scaled > 0)
    second = linear(hidden.flatten(1))
    second.retain_grad()
    third = head(second * (second > 0))
    third.retain_grad()
    loss = 0.0
    for logits, label in zip(third, labels.tolist(), strict=True):
        logarithms = logits - logits.exp().sum().log()
        loss = loss - (1 - smoothing) * logarithms[label] - smoothing * logarithms.mean()
    loss.backward()

    outputs = {"0": first, "4": second, "6": third}
    assert list(values(seen, "activation_variance")) == list(outputs)
    for name, output in outputs.items():
        numbers = output.detach().numpy()
        assert values(seen, "activation_mean")[name] == pytest.approx(np.mean(numbers), abs=1e-6)
        assert values(seen, "activation_variance")[name] == pytest.approx(np.var(numbers), rel=1e-4)
        gradient = output.grad.numpy()
        assert values(seen, "gradient_variance")[name] == pytest.approx(np.var(gradient), rel=1e-3)

    dead = sum(bool((hidden[:, channel] <= 0).all()) for channel in range(4)) / 4
    dead_units = sum(bool((second[:, unit] <= 0).all()) for unit in range(7)) / 7
    assert values(seen, "dead_units") == pytest.approx({"0": dead, "4": dead_units})

    entropies, deviations = [], []
    for logits in third.tolist():
        shares = [math.exp(x) / sum(math.exp(y) for y in logits) for x in logits]
        entropies.append(-sum(p * math.log(p) for p in shares))
        deviations.append(np.std(logits))
    assert float(seen.tensors["logit_entropy"]) == pytest.approx(np.mean(entropies), rel=1e-5)
    assert float(seen.tensors["logit_std"]) == pytest.approx(np.mean(deviations), rel=1e-4)


def test_units_that_cannot_be_activated_are_dead() -> None:
    net = rectifier(norm=False)
    with torch.no_grad():
        net[0].weight[1:].zero_()
        net[0].bias[1:].fill_(-1.0)
        net[3].weight.zero_()
        net[3].bias.fill_(-1.0)
    dead = values(StartUp(batch=10).observe(alone(initial=net)), "dead_units")
    assert dead["0"] == pytest.approx(3 / 4, abs=0.26)  # the first may be dead by itself
    assert dead["0"] >= 3 / 4
    assert dead["3"] == 1.0


def test_a_network_without_rectifiers_has_no_dead_units() -> None:
    assert values(StartUp(batch=10).observe(alone(initial=network())), "dead_units") == {}


def test_functions_are_seen_as_well_as_modules() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(36, 5), nn.Linear(5, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.second(F.relu(self.first(images.flatten(1)).tanh()))

    seen = StartUp(batch=10).observe(alone(initial=Functional()))
    assert list(values(seen, "dead_units")) == ["first"]


def test_weights_and_running_statistics_are_left_alone() -> None:
    net = rectifier()

    class Itself(Subject):
        def network(self, checkpoint: Checkpoint) -> nn.Module:
            return net.eval()

    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    StartUp(batch=10).observe(Population([Itself({})]))
    assert equal(net.state_dict(), before)
    assert not net[1].training
    assert net[1].track_running_stats


def test_the_same_images_are_shown_to_every_network_of_a_seed() -> None:
    shown: list[torch.Tensor] = []

    class Noting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(36, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if isinstance(images, torch.Tensor):  # and not while it is traced
                shown.append(images)
            return self.linear(images.flatten(1))

    torch.manual_seed(1)
    probe = StartUp(batch=10)
    probe.observe(alone(initial=Noting()))
    torch.manual_seed(2)
    probe.observe(alone(initial=Noting()))
    first, second = shown
    assert len(first) == 10
    assert torch.equal(first, second)


def test_a_small_training_split_is_shown_as_a_whole() -> None:
    population = alone(initial=network())
    seen = StartUp(batch=10_000).observe(population)
    everything = StartUp(batch=len(population.data.train)).observe(population)
    assert equal(dict(seen.tensors), dict(everything.tensors))


def test_without_a_network_nothing_is_seen() -> None:
    seen = StartUp().observe(alone())
    assert seen.tensors == {}
    assert seen.description["notes"] == ["there is no initial network"]


def test_layers_whose_modules_are_not_called_are_noted() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.called, self.passed_by = nn.Linear(36, 3), nn.Linear(3, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return F.linear(self.called(images.flatten(1)), self.passed_by.weight)

    seen = StartUp(batch=10).observe(alone(initial=Hidden()))
    assert list(values(seen, "activation_variance")) == ["called"]
    assert "1 of 2 layers are not seen" in seen.description["notes"][0]
    assert "`passed_by`" in seen.description["notes"][0]


def test_a_network_that_explodes_is_observed_not_refused() -> None:
    net = rectifier(norm=False)
    with torch.no_grad():
        for module in net:
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.mul_(1e30)
    seen = StartUp(batch=10).observe(alone(initial=net))
    assert not all(math.isfinite(x) for x in values(seen, "activation_variance").values())


def test_the_main_network_of_a_hypernetwork_is_what_is_seen() -> None:
    from initbench.models.hypernetwork.config import HypernetworkConfig
    from initbench.models.hypernetwork.model import Hypernetwork

    main = {"name": "mlp", "widths": [5], "activation": "relu"}
    net = Hypernetwork(HypernetworkConfig(main=main)).build(1, 6, 3)
    seen = StartUp(batch=10).observe(alone(initial=net))
    layers = list(values(seen, "activation_variance"))
    assert len(layers) == 2
    assert all(name.startswith("main.") for name in layers)
    assert list(values(seen, "gradient_variance")) == layers
    assert list(values(seen, "dead_units")) == layers[:1]


def test_quantiles_are_those_of_all_values_of_a_layer() -> None:
    net = rectifier()
    population = alone(initial=net)
    seen = StartUp(batch=20, mode="eval").observe(population)
    images, _ = batch(population, 20)
    outputs = net[0](images)
    expected = np.quantile(outputs.detach().double().numpy(), np.linspace(0, 1, QUANTILES))
    found = seen.tensors["activation_quantiles"]
    assert found.shape == seen.tensors["gradient_quantiles"].shape == (3, QUANTILES)
    assert found[0].numpy() == pytest.approx(expected, abs=1e-6)
    for quantity in ("activation", "gradient"):
        spread = seen.tensors[f"{quantity}_quantiles"].var(1, correction=0)
        assert spread.tolist() == pytest.approx(
            seen.tensors[f"{quantity}_variance"].tolist(), rel=0.15
        )


def test_of_a_large_layer_some_values_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    population = alone(initial=rectifier())
    whole = StartUp(batch=40, mode="eval").observe(population)
    monkeypatch.setattr(start_up, "_SAMPLE", 2000)
    part, again = (StartUp(batch=40, mode="eval").observe(population) for _ in range(2))
    quantiles = part.tensors["activation_quantiles"]
    assert torch.equal(quantiles, again.tensors["activation_quantiles"])
    assert not torch.equal(quantiles, whole.tensors["activation_quantiles"])
    middle = whole.tensors["activation_quantiles"][0, 64:193]
    assert (quantiles[0, 64:193] - middle).abs().max() < 0.25 * middle.std()
    assert torch.equal(part.tensors["activation_variance"], whole.tensors["activation_variance"])


def test_trained_networks_are_looked_at_in_the_same_way() -> None:
    start, end = rectifier(0), rectifier(1)
    both = alone(initial=start, last=end)
    trained = StartUp(batch=20, checkpoint="last").observe(both)
    as_start = StartUp(batch=20).observe(alone(initial=end))
    assert all(torch.equal(trained.tensors[n], x) for n, x in as_start.tensors.items())
    gone = StartUp(checkpoint="last").observe(alone(initial=start))
    assert gone.description["notes"] == ["there is no last network"]
