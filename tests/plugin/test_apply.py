"""An initialiser is believed only as far as the weights confirm what it says."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from initbench.errors import PluginError, UnsupportedError, UserError
from initbench.models.anatomy import Anatomy
from initbench.models.digest import combined_digest, weight_digests
from initbench.plugin.apply import Applied, apply
from initbench.plugin.coverage import CoverageMap, Treatment
from initbench.plugin.initialiser import (
    Artifact,
    Batch,
    Citation,
    Config,
    Initialisation,
    Initialiser,
    Scope,
    Support,
)
from initbench.streams import Stream, generator

Body = Callable[[nn.Module, Initialisation, CoverageMap], Any]

ANATOMY = Anatomy((), traced=True)


class Free(Initialiser[Config]):
    """Does what a test wants after having set every parameter as it should."""

    name = "free"
    scope = Scope.POINTWISE
    summary = "whatever a test wants"
    citation = Citation("Nobody.")

    def __init__(self, body: Body) -> None:
        super().__init__(Config())
        self.body = body

    @torch.no_grad()
    def initialise(self, network: nn.Module, job: Initialisation) -> CoverageMap:
        coverage = CoverageMap.of(network)
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=job.generator))
            coverage.generated(name, "normal")
        answer = self.body(network, job, coverage)
        return coverage if answer is None else answer


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def applied(body: Body, net: nn.Module | None = None, seed: int = 0, **given: Any) -> Applied:
    return apply(Free(body), net or network(), ANATOMY, seed=seed, **given)


def nothing_more(*_: object) -> None:
    """The body of an initialiser that behaves."""


def test_the_weights_are_those_of_the_stream_of_the_seed() -> None:
    net = network()
    applied(nothing_more, net, seed=3)
    numbers = generator(3, Stream.WEIGHTS)
    for _, parameter in net.named_parameters():
        assert parameter.equal(torch.randn(parameter.shape, generator=numbers))


def test_an_application_accounts_for_everything_and_is_digested() -> None:
    net = network()
    done = applied(nothing_more, net)
    assert done.notes == []
    assert done.coverage.share(Treatment.GENERATED) == 1.0
    assert done.initial_weights_digest == combined_digest(weight_digests(net))
    assert done.initial_weights_digest == applied(nothing_more).initial_weights_digest
    assert done.initial_weights_digest != applied(nothing_more, seed=1).initial_weights_digest


def test_batch_and_artifact_are_handed_over() -> None:
    batch = Batch(torch.zeros(1, 1, 4, 4), torch.zeros(1, dtype=torch.long))
    artifact = Artifact({"mean": torch.ones(1)})
    seen: list[Initialisation] = []
    applied(lambda _net, job, _coverage: seen.append(job), batch=batch, artifact=artifact)
    (job,) = seen
    assert (job.anatomy, job.batch, job.artifact) == (ANATOMY, batch, artifact)


# --- violations ----------------------------------------------------------------------------------


def forget(_net: nn.Module, _job: Initialisation, coverage: CoverageMap) -> None:
    del coverage.entries["3.bias"]


def claim_untouched(_net: nn.Module, _job: Initialisation, coverage: CoverageMap) -> None:
    coverage.untouched("0.weight", "as the constructor made it")


def not_a_number(net: nn.Module, *_: object) -> None:
    net.get_parameter("3.weight")[0, 0] = float("nan")


def infinity(net: nn.Module, *_: object) -> None:
    net.get_parameter("0.bias")[0] = float("inf")


def reshape(net: Any, *_: object) -> None:
    net[3].weight = nn.Parameter(torch.ones(3, 9))


def widen(net: Any, *_: object) -> None:
    net[3].weight.data = net[3].weight.data.double()


def freeze(net: Any, *_: object) -> None:
    net[3].weight.requires_grad_(False)


def add(net: Any, *_: object) -> None:
    net[3].register_parameter("extra", nn.Parameter(torch.ones(1)))


def remove(net: Any, *_: object) -> None:
    net[3].bias = None


def of_another_network(*_: object) -> CoverageMap:
    return CoverageMap.of(nn.Linear(1, 1))


def no_coverage(*_: object) -> dict[str, str]:
    return {}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (forget, "its coverage map does not account for `3.bias`"),
        (claim_untouched, "it changed `0.weight`, which its coverage map calls untouched"),
        (not_a_number, "it left NaN or infinity in `3.weight`"),
        (infinity, "it left NaN or infinity in `0.bias`"),
        (reshape, "it turned `3.weight` from [3, 8] torch.float32 on cpu into [3, 9]"),
        (widen, "it turned `3.weight` from [3, 8] torch.float32 on cpu into [3, 8] torch.float64"),
        (freeze, "into [3, 8] torch.float32 on cpu, without gradient"),
        (add, "it added `3.extra`"),
        (remove, "it removed `3.bias`"),
        (of_another_network, "its coverage map is of another network"),
        (no_coverage, "expected `initialise` to return a CoverageMap, got {}"),
    ],
)
def test_what_is_not_as_it_says_is_refused(body: Body, complaint: str) -> None:
    with pytest.raises(PluginError, match=r"^initialiser `free`") as raised:
        applied(body)
    assert complaint in str(raised.value)


class Idle(Free):
    """Claims to have generated what it left alone."""

    def initialise(self, network: nn.Module, job: Initialisation) -> CoverageMap:
        coverage = CoverageMap.of(network)
        for name in coverage.elements:
            coverage.generated(name, "so it says")
        return coverage


def test_claiming_to_have_generated_what_was_left_alone_is_refused() -> None:
    with pytest.raises(
        PluginError, match=r"did not change `0.weight`, which its coverage map calls"
    ):
        apply(Idle(nothing_more), network(), ANATOMY, seed=0)


def test_a_constant_may_be_generated_again_and_an_empty_parameter_too() -> None:
    net = nn.Sequential(nn.BatchNorm2d(4))
    net.register_parameter("empty", nn.Parameter(torch.empty(0)))
    done = apply(Idle(nothing_more), net, ANATOMY, seed=0)
    assert done.coverage.missing() == []


def test_breaking_a_tie_between_parameters_is_refused() -> None:
    net = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    net["b"].weight = net["a"].weight

    def untie(tied: Any, *_: object) -> None:
        tied["b"].weight = nn.Parameter(tied["a"].weight.clone())

    applied(nothing_more, net)
    with pytest.raises(PluginError, match=r"it added `b.weight`"):
        applied(untie, net)


# --- failing and refusing ------------------------------------------------------------------------


def test_an_exception_names_the_initialiser_and_keeps_its_cause() -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("no luck")

    with pytest.raises(
        PluginError, match=r"^initialiser `free` raised ZeroDivisionError: no luck$"
    ) as e:
        applied(fail)
    assert isinstance(e.value.__cause__, ZeroDivisionError)


def test_leaving_the_program_is_a_failure_like_any_other() -> None:
    def leave(*_: object) -> None:
        raise SystemExit(0)

    with pytest.raises(PluginError, match="raised SystemExit"):
        applied(leave)


@pytest.mark.parametrize("error", [UserError("pass more images"), UnsupportedError("too deep")])
def test_what_an_initialiser_says_on_purpose_is_passed_on(error: Exception) -> None:
    def refuse(*_: object) -> None:
        raise error

    with pytest.raises(type(error), match=f"^{error}$"):
        applied(refuse)


def test_running_out_of_memory_is_not_its_fault() -> None:
    def exhaust(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        applied(exhaust)


def test_an_unsupported_network_is_refused_untouched_and_with_the_reason() -> None:
    class Picky(Free):
        def supports(self, anatomy: Anatomy) -> Support:
            return Support.no("it has no convolution")

    net = network()
    before = weight_digests(net)
    with pytest.raises(UnsupportedError, match="does not support this network: it has no convol"):
        apply(Picky(nothing_more), net, ANATOMY, seed=0)
    assert weight_digests(net) == before


def test_support_has_to_be_stated_as_such() -> None:
    class Sloppy(Free):
        def supports(self, anatomy: Anatomy) -> Any:
            return True

    with pytest.raises(PluginError, match="expected `supports` to return a Support, got True"):
        apply(Sloppy(nothing_more), network(), ANATOMY, seed=0)


# --- side effects --------------------------------------------------------------------------------


def global_weights(net: nn.Module, *_: object) -> None:
    draw = torch.rand(1).item() + random.random() + float(np.random.rand())
    net.get_parameter("0.bias").fill_(draw)


def test_the_shared_generators_are_reproducible_put_back_and_their_use_is_noted() -> None:
    torch.manual_seed(5)
    first = applied(global_weights, seed=2)
    torch.manual_seed(6)
    second = applied(global_weights, seed=2)
    assert first.initial_weights_digest == second.initial_weights_digest
    assert applied(global_weights, seed=3).initial_weights_digest != first.initial_weights_digest
    assert first.notes == [
        f"initialiser `free` changed the global random generator of {owner}, which was put back"
        for owner in ("Python", "NumPy", "torch")
    ]


@pytest.mark.parametrize("body", [nothing_more, global_weights])
def test_the_callers_random_numbers_are_not_disturbed(body: Body) -> None:
    net = network()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    undisturbed = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    applied(body, net)
    assert (torch.rand(1), random.random(), np.random.rand()) == undisturbed


def test_modes_and_gradients_are_put_back() -> None:
    def calibrate(net: nn.Module, *_: object) -> None:
        net.eval()
        with torch.enable_grad():
            net(torch.ones(1, 1, 4, 4)).sum().backward()
        torch.set_grad_enabled(False)

    net = network()
    net[1].eval()
    applied(calibrate, net)
    assert [module.training for module in net] == [True, False, True, True]
    assert all(parameter.grad is None for parameter in net.parameters())
    assert torch.is_grad_enabled()


def test_gradients_of_the_caller_survive() -> None:
    net = network()
    net(torch.ones(2, 1, 4, 4)).sum().backward()
    applied(nothing_more, net)
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_changed_buffers_and_prints_are_noted() -> None:
    def body(net: nn.Module, *_: object) -> None:
        net(torch.ones(2, 1, 4, 4))
        print("calibrated")  # noqa: T201

    assert applied(body).notes == [
        "initialiser `free` printed `calibrated`",
        "initialiser `free` changed the buffers `1.num_batches_tracked`, `1.running_mean`, "
        "`1.running_var`",
    ]
