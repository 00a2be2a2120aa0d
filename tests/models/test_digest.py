"""Digests tell weights apart, bit by bit, and depend on nothing else."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn

from initbench.models.digest import combined_digest, tensor_digest, weight_digests


def test_the_digest_is_that_of_dtype_shape_and_bytes() -> None:
    tensor = torch.tensor([[1.0, -0.0], [float("nan"), 2.0]])
    expected = hashlib.sha256(b"torch.float32 [2, 2] " + tensor.numpy().tobytes()).hexdigest()
    assert tensor_digest(tensor) == expected


@pytest.mark.parametrize(
    "other",
    [
        torch.tensor([0.0, 1.0]),
        torch.tensor([1.0, -0.0]),
        torch.tensor([[1.0, 0.0]]),
        torch.tensor([1.0, 0.0], dtype=torch.float64),
        torch.tensor([1.0, 1e-45]),
    ],
    ids=["order", "sign of zero", "shape", "dtype", "last bit"],
)
def test_tensors_that_differ_have_different_digests(other: torch.Tensor) -> None:
    assert tensor_digest(torch.tensor([1.0, 0.0])) != tensor_digest(other)


def test_how_a_tensor_lies_in_memory_does_not_matter() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    assert tensor_digest(tensor.t()) == tensor_digest(tensor.t().contiguous())
    assert tensor_digest(nn.Parameter(tensor)) == tensor_digest(tensor)


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, torch.float16, torch.int64, torch.bool, torch.complex64]
)
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_every_dtype_and_shape_has_a_digest(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    assert len(tensor_digest(torch.ones(shape, dtype=dtype))) == 64


def test_weights_are_parameters_and_buffers_with_ties_named_once() -> None:
    first = nn.Linear(2, 2)
    second = nn.Linear(2, 2)
    second.weight = first.weight
    net = nn.Sequential(first, second, nn.BatchNorm1d(2))
    assert set(weight_digests(net)) == {
        *("0.weight", "0.bias", "1.bias", "2.weight", "2.bias"),
        *("2.running_mean", "2.running_var", "2.num_batches_tracked"),
    }


def test_the_combined_digest_depends_on_names_and_tensors_but_not_on_their_order() -> None:
    one, two = tensor_digest(torch.ones(1)), tensor_digest(torch.zeros(1))
    combined = combined_digest({"a": one, "b": two})
    assert combined == combined_digest({"b": two, "a": one})
    assert combined != combined_digest({"a": two, "b": one})
    assert combined != combined_digest({"a": one})
