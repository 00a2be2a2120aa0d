"""Batch norm over all ranks: as if one process had seen the whole batch.

Source: Ioffe, Szegedy 2015, "Batch Normalization", algorithm 1 and the gradients below it, with
sums over the images of all ranks. torch's own SyncBatchNorm does the same, but on GPUs only, and
it takes the place of modules, also of those that are more than a batch norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from initbench.training.ranks import Ranks


class SynchronisedBatchNorm(TorchFunctionMode):
    """While it is entered, batch norm in training mode uses the statistics of all ranks' images.

    Whatever calls `torch.nn.functional.batch_norm` is reached, whichever module that is.
    """

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self._ranks = ranks

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        images: torch.Tensor,
        running_mean: torch.Tensor | None,
        running_var: torch.Tensor | None,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> torch.Tensor:
        """Do what the function of torch with these arguments does, for the images of all ranks."""
        if not training:
            return F.batch_norm(
                images, running_mean, running_var, weight, bias, training, momentum, eps
            )
        channels = images.shape[1]
        weight = torch.ones(channels, device=images.device) if weight is None else weight
        bias = torch.zeros(channels, device=images.device) if bias is None else bias
        normalised, mean, variance, count = _Normalise.apply(images, weight, bias, eps, self._ranks)
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * (count / (count - 1)), momentum)
        return normalised  # type: ignore[no-any-return]


class _Normalise(torch.autograd.Function):
    """Normalises the images of one rank with the statistics of all.

    Gradients are those of the sum of all ranks' losses.
    """

    @staticmethod
    def forward(
        ctx: Any,
        images: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        eps: float,
        ranks: Ranks,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return images normalised, mean and biased variance (channels), and numbers a channel."""
        variance, mean = torch.var_mean(images.float(), _all_but_channels(images), correction=0)
        here = images.numel() / images.shape[1]
        everywhere = ranks.gathered(torch.cat([mean, variance, mean.new_full((1,), here)]))
        means, variances = everywhere[:, :-1].chunk(2, dim=1)  # (ranks, channels)
        counts = everywhere[:, -1:]
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean).square())).sum(0) / count
        ctx.save_for_backward(images, weight, mean, (variance + eps).rsqrt(), count)
        ctx.ranks = ranks
        ctx.mark_non_differentiable(mean, variance, count)
        normalised = F.batch_norm(images, mean, variance, weight, bias, eps=eps)
        return normalised, mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of images, weight and bias."""
        images, weight, mean, scale, count = ctx.saved_tensors
        dims = _all_but_channels(images)
        shape = [1, -1, *[1] * (images.dim() - 2)]
        standardised = (images.float() - mean.view(shape)) * scale.view(shape)
        of_bias = gradient.float().sum(dims)
        of_weight = (gradient * standardised).sum(dims)
        bias_mean, weight_mean = ctx.ranks.total(torch.cat([of_bias, of_weight])).chunk(2)
        through_mean = bias_mean.view(shape) / count
        through_variance = standardised * weight_mean.view(shape) / count
        factor = (weight * scale).view(shape)
        of_images = factor * (gradient - through_mean - through_variance)
        return of_images.to(images.dtype), of_weight, of_bias, None, None


def _all_but_channels(images: torch.Tensor) -> list[int]:
    return [0, *range(2, images.dim())]
