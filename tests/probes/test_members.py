"""Members say together what each says alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from initbench.probes import members
from initbench.probes.members import logits_of
from initbench.training import evaluation
from tests.probes.looking import Population, Subject
from tests.training.networks import data, network

SUBJECTS = [Subject({"best": network(0)}), Subject({}), Subject({"best": network(2)})]


def test_logits_come_batch_by_batch_in_order_and_nan_where_there_is_no_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluation, "EVALUATION_PIXELS", 36 * 7)
    images = data()
    found = list(logits_of(Population(SUBJECTS, images), "best"))
    assert [len(labels) for _, labels in found] == [7, 7, 6]
    assert torch.equal(torch.cat([labels for _, labels in found]), images.test.labels)
    logits = torch.cat([logits for logits, _ in found], dim=1)
    assert logits.dtype == torch.float64
    pixels, _ = images.batch("test", torch.arange(20))
    with torch.no_grad():
        for i in (0, 2):
            torch.testing.assert_close(logits[i], network(i).eval()(pixels).double())
    assert logits[1].isnan().all()


def test_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    list(logits_of(Population(SUBJECTS), "best"))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_stack_that_is_too_large_looks_in_smaller_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    networks = [network(seed).eval() for seed in range(5)]
    images, _ = data().batch("test", torch.arange(20))
    stacked = members._Stacked(networks, torch.device("cpu"))
    whole, groups = stacked._stack.logits_for_all, []

    def limited(images: torch.Tensor, at_once: int) -> torch.Tensor:
        groups.append(at_once)
        if at_once > 2:
            raise torch.OutOfMemoryError("too large")
        return whole(images, at_once)

    monkeypatch.setattr(stacked._stack, "logits_for_all", limited)
    with torch.no_grad():
        expected = torch.stack([net(images) for net in networks])
        torch.testing.assert_close(stacked(images), expected)
        stacked(images)
    assert groups == [5, 2, 2]


class Choosy(nn.Module):
    """Its way through depends on what it sees, so it cannot be in a stack."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.mean().item() > 0 else -x


class Counting(nn.Module):
    """Says something else each time, as long as it is in one piece."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.calls * x


@pytest.mark.parametrize(
    ("extra", "stackable"),
    [([], True), ([nn.BatchNorm2d(4)], True), ([Choosy()], False), ([Counting()], False)],
)
def test_a_stack_is_used_only_where_it_says_the_same(
    extra: list[nn.Module], stackable: bool
) -> None:
    networks = [network(seed, *extra).eval() for seed in range(3)]
    images, _ = data().batch("test", torch.arange(8))
    with torch.no_grad():
        stacked = members.stack_of(networks, images)
        assert (stacked is not None) == stackable
        if stacked is not None:
            torch.testing.assert_close(stacked(images), members.one_by_one(networks, images))


@pytest.mark.gpu
@pytest.mark.parametrize("extra", [[], [nn.BatchNorm2d(4)], [Choosy()]])
def test_members_on_a_gpu_say_what_they_say_alone(extra: list[nn.Module]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    networks = [network(seed, *extra).cuda().eval() for seed in range(4)]
    images = data(device="cuda")
    subjects = [Subject({"best": net}) for net in networks]
    ((logits, _),) = logits_of(Population(subjects, images), "best")
    pixels, _ = images.batch("test", torch.arange(20, device="cuda"))
    with torch.no_grad():
        expected = members.one_by_one(networks, pixels).double()
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
