"""Stacked optimisers: torch's formulas on a matrix of weights, one row and one rate a member.

No number leaves the device, so that a step can be recorded as a CUDA graph: rates and counts of
steps are tensors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from initbench.training.recipe import SGD, Adam, AdamW, Optimiser


class StackedOptimiser(ABC):
    """Moves each row of a matrix against its gradient."""

    def __init__(self, weights: torch.Tensor) -> None:
        self.rates = weights.new_zeros(len(weights), 1)  # the rate of each member's next step

    @abstractmethod
    def step(self, weights: torch.Tensor, gradients: torch.Tensor) -> None:
        """Change `weights` (members, weights) in place; `gradients` may be overwritten."""

    @abstractmethod
    def by_row(self) -> dict[str, torch.Tensor]:
        """Return what is remembered of the steps so far, (members, weights); not copied."""

    @abstractmethod
    def go_on(self, steps: int) -> None:
        """Go on after so many steps, with what was copied into `by_row`."""

    def keep(self, rows: torch.Tensor) -> None:
        """Remove all members but those at `rows` (int64, on the device)."""
        self.rates = self.rates.index_select(0, rows)


class StackedSGD(StackedOptimiser):
    """Stochastic gradient descent as `torch.optim.SGD` does it."""

    def __init__(self, weights: torch.Tensor, settings: SGD) -> None:
        super().__init__(weights)
        self.settings = settings
        self.velocity = torch.zeros_like(weights) if settings.momentum else None

    def step(self, weights: torch.Tensor, gradients: torch.Tensor) -> None:
        if self.settings.weight_decay:
            gradients.add_(weights, alpha=self.settings.weight_decay)
        if self.velocity is not None:
            self.velocity.mul_(self.settings.momentum).add_(gradients)
            if self.settings.nesterov:
                gradients.add_(self.velocity, alpha=self.settings.momentum)
            else:
                gradients = self.velocity
        weights.addcmul_(gradients, self.rates, value=-1)

    def by_row(self) -> dict[str, torch.Tensor]:
        return {} if self.velocity is None else {"velocity": self.velocity}

    def go_on(self, steps: int) -> None:
        """Steps are not counted: each is like the others."""

    def keep(self, rows: torch.Tensor) -> None:
        super().keep(rows)
        if self.velocity is not None:
            self.velocity = self.velocity.index_select(0, rows)


class StackedAdam(StackedOptimiser):
    """Adam and AdamW as `torch.optim` has them: weight decay coupled or not."""

    def __init__(self, weights: torch.Tensor, settings: Adam | AdamW) -> None:
        super().__init__(weights)
        self.settings = settings
        self.mean = torch.zeros_like(weights)
        self.square = torch.zeros_like(weights)
        # In float64: 1 - beta ** steps loses most of its digits in float32.
        self.steps = torch.zeros((), dtype=torch.float64, device=weights.device)
        self.betas = torch.tensor(settings.betas, dtype=torch.float64, device=weights.device)

    def step(self, weights: torch.Tensor, gradients: torch.Tensor) -> None:
        settings = self.settings
        beta_mean, beta_square = settings.betas
        if isinstance(settings, AdamW):
            weights.mul_(1 - self.rates * settings.weight_decay)
        elif settings.weight_decay:
            gradients.add_(weights, alpha=settings.weight_decay)
        self.mean.lerp_(gradients, 1 - beta_mean)
        self.square.mul_(beta_square).addcmul_(gradients, gradients, value=1 - beta_square)
        self.steps += 1
        mean_correction, square_correction = 1 - self.betas**self.steps
        spread = (self.square.sqrt() / square_correction.sqrt()).add_(settings.eps)
        # Multiplied before divided: a rate for each row, not for each weight.
        weights.sub_((self.mean * (self.rates / mean_correction)).div_(spread))

    def by_row(self) -> dict[str, torch.Tensor]:
        return {"mean": self.mean, "square": self.square}

    def go_on(self, steps: int) -> None:
        self.steps.fill_(steps)

    def keep(self, rows: torch.Tensor) -> None:
        super().keep(rows)
        self.mean = self.mean.index_select(0, rows)
        self.square = self.square.index_select(0, rows)


def stacked_optimiser(weights: torch.Tensor, optimiser: Optimiser) -> StackedOptimiser:
    """Return the optimiser of a recipe for `weights` (members, weights); set its `rates`."""
    if isinstance(optimiser, SGD):
        return StackedSGD(weights, optimiser)
    return StackedAdam(weights, optimiser)


def clip(gradients: torch.Tensor, largest_norm: float) -> None:
    """Scale each row of `gradients` in place, as `torch.nn.utils.clip_grad_norm_` does."""
    norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    gradients.mul_((largest_norm / (norms + 1e-6)).clamp_(max=1))
