"""Use from Python: `initbench.initialise(model, "he", seed=0)` in anybody's training script."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from initbench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from initbench.plugin.coverage import CoverageMap
    from initbench.plugin.initialiser import Batch, Initialiser


def initialise(
    network: torch.nn.Module,
    name: str,
    *,
    seed: int = 0,
    images: torch.Tensor | None = None,
    labels: torch.Tensor | None = None,
    input_size: Sequence[int] | None = None,
    **config: Any,
) -> CoverageMap:
    """Set the starting weights of `network` in place and say what was done to each of them.

    Example:
        coverage = initbench.initialise(network, "he", seed=0, mode="fan_out")

    Args:
        network: any network, on any device.
        name: an installed initialiser (`initbench plugins list`).
        seed: same seed, same weights; they come from the random stream of a trial's seed.
        images: training images as the network will see them, normalised, of shape (images,
            channels, height, width); data-dependent initialisers need them.
        labels: their classes, of shape (images,); some data-dependent initialisers need them.
        input_size: the shape of one input, for networks whose layers can only be seen in use;
            taken from `images` where they are given.
        config: the configuration of the initialiser (`initbench plugins show NAME`).

    Returns:
        What was done to every parameter, verified.

    Raises:
        UserError: an unknown name, a configuration that does not validate, or missing images.
        UnsupportedError: the initialiser does not support this network; the message says why.
        PluginError: the initialiser broke its contract.
    """
    from initbench.models.tracing import anatomy
    from initbench.plugin.apply import apply
    from initbench.plugin.registry import Registry

    if next(network.parameters(), None) is None:
        raise UserError("expected a network with parameters, got one without")
    registry = Registry.installed()
    initialiser = registry.initialiser(name, config).thing
    _refuse_generative(initialiser)
    _refuse_incomplete(initialiser)
    batch = _batch(initialiser, network, images, labels)
    example = _example(network, images, input_size)
    applied = apply(initialiser, network, anatomy(network, example), seed=seed, batch=batch)
    for text in [*registry.warnings, *applied.notes]:
        warnings.warn(text, stacklevel=2)
    return applied.coverage


def _refuse_generative(initialiser: Initialiser[Any]) -> None:
    from initbench.plugin.guard import contained

    if contained(initialiser.learns).result(f"initialiser `{initialiser.name}`"):
        raise UserError(
            f"initialiser `{initialiser.name}` has to be fitted before it can initialise; run it "
            "in a suite, which provides what it learns from"
        )


def _refuse_incomplete(initialiser: Initialiser[Any]) -> None:
    from initbench.plugin.guard import contained

    who = f"initialiser `{initialiser.name}`"
    if missing := contained(initialiser.missing).result(who):
        raise UserError(f"{who}: {missing}")


def _batch(
    initialiser: Initialiser[Any],
    network: torch.nn.Module,
    images: torch.Tensor | None,
    labels: torch.Tensor | None,
) -> Batch | None:
    import torch

    from initbench.plugin.guard import contained
    from initbench.plugin.initialiser import Batch

    wanted = contained(initialiser.images_needed).result(f"initialiser `{initialiser.name}`")
    if wanted == 0:
        return None
    if images is None or len(images) < wanted:
        found = "none" if images is None else str(len(images))
        raise UserError(
            f"initialiser `{initialiser.name}` looks at {wanted} training images, got {found}; "
            "pass `images=`, a tensor of shape (images, channels, height, width), normalised as "
            "the network will see them"
        )
    if labels is None:
        # The label that a loss ignores: an initialiser that needs labels must not learn from
        # made-up ones.
        labels = torch.full((wanted,), -100)
    device = next(network.parameters()).device
    return Batch(_as_input(network, images[:wanted]), labels[:wanted].to(device))


def _example(
    network: torch.nn.Module, images: torch.Tensor | None, input_size: Sequence[int] | None
) -> torch.Tensor | None:
    import torch

    if images is not None:
        return _as_input(network, images[:2])
    if input_size is not None:
        return _as_input(network, torch.zeros(2, *input_size))
    return None


def _as_input(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Bring images to where the network is, in its precision."""
    first = next(network.parameters())
    return images.to(first.device, first.dtype)
