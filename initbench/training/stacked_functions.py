"""Stacked functions: what layers of images do for all members of a stack at once.

vmap takes functions apart, and turns members into groups of channels or into more images, as it
comes. Here they are groups of channels throughout, so nothing is copied between layers; batch norm
stays in one piece; and autocast, which knows whole convolutions only, sees them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

Function = Callable[..., torch.Tensor]

_POOLS: tuple[Function, ...] = (
    F.max_pool2d,
    torch.max_pool2d,  # the same in torch 2.11
    F.avg_pool2d,
    F.adaptive_avg_pool2d,
)
"""What treats every channel in the same way."""


class StackedFunctions(TorchFunctionMode):
    """While it is entered, layers of images under vmap are those of this module.

    With `channels_last`, the channels of all members are last in memory from the first convolution
    on. Calling a layer outside of vmap is not foreseen.
    """

    def __init__(self, channels_last: bool) -> None:
        super().__init__()
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self._functions: dict[Function, Function] = {
            F.conv2d: partial(_conv2d, layout=layout),
            F.batch_norm: _batch_norm,
            **{pool: partial(_pool, pool) for pool in _POOLS},
        }

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        function: Callable[..., Any] = self._functions.get(func, func)
        return function(*args, **(kwargs or {}))


def _conv2d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    *,
    layout: torch.memory_format,
) -> torch.Tensor:
    def for_all(images: torch.Tensor, weight: torch.Tensor, *bias: torch.Tensor) -> torch.Tensor:
        return F.conv2d(
            _as_channels(images).contiguous(memory_format=layout),
            weight.flatten(0, 1),
            bias[0].flatten() if bias else None,
            stride,
            padding,
            dilation,
            len(images) * groups,
        )

    return _for_all(for_all, input, weight, *([] if bias is None else [bias]))


def _batch_norm(
    input: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    own = (running_mean, running_var, weight, bias)  # one number a channel, or None

    def for_all(images: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        # Running statistics are contiguous: here are views of them, to be changed in place.
        flat = iter([tensor.flatten() for tensor in given])
        mean, var, weight, bias = (next(flat) if tensor is not None else None for tensor in own)
        return F.batch_norm(_as_channels(images), mean, var, weight, bias, training, momentum, eps)

    return _for_all(for_all, input, *[tensor for tensor in own if tensor is not None])


def _pool(function: Function, input: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    return _for_all(lambda images: function(_as_channels(images), *args, **kwargs), input)


def _as_channels(images: torch.Tensor) -> torch.Tensor:
    """Return (members, batch, channels, ...) as (batch, members * channels, ...)."""
    return images.transpose(0, 1).flatten(1, 2)


def _for_all(function: Function, *tensors: torch.Tensor) -> torch.Tensor:
    """Return what `function` makes of tensors with the members in front.

    It returns the members among the channels: (batch, members * channels, ...).
    """
    result: torch.Tensor = _ForAll.apply(function, *tensors)
    return result


class _ForAll(torch.autograd.Function):
    """A function of torch that is told how vmap is to treat it."""

    @staticmethod
    def forward(function: Function, *tensors: torch.Tensor) -> torch.Tensor:
        raise TypeError("a stacked function was called outside of vmap")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep nothing: gradients go through what `vmap` calls."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], function: Function, *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, int]:
        members = info.batch_size
        in_front = [
            tensor.expand(members, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
            for tensor, dim in zip(tensors, in_dims[1:], strict=True)
        ]
        return function(*in_front).unflatten(1, (members, -1)), 1
