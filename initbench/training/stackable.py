"""Stackable or not: whether members can be trained together, found out by trying."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from initbench.data.device_data import DeviceData
from initbench.data.resident import ResidentData
from initbench.training.checkpoint import Tensors, network_state
from initbench.training.numerics import autocast, largest_weight, reproducible
from initbench.training.objectives import Objective, objective_of
from initbench.training.outcome import Member
from initbench.training.recipe import Recipe
from initbench.training.stack import Stack

_IMAGES = 8
"""A network is tried with so many images."""

_TOLERANCE = 1e-2
"""Of the largest entry of a tensor: far more than rounding, far less than a mistake."""

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_TENSORS = ("_parameters", "_buffers", "_modules")


def why_not_stackable(members: Sequence[Member], data: DeviceData, recipe: Recipe) -> str | None:
    """Return why `train_stack` cannot train these members: a clause; None if it can.

    What cannot be seen from outside is tried: a small batch goes forward and backward through a
    stack of two, and through the two alone. Members and global random state are left as they were.
    """
    if recipe.precision == "float16":
        return "with float16 the loss of each network has a scale of its own"
    if recipe.evaluation.layers:
        return "its layers are watched while it trains"
    if not isinstance(data, ResidentData):
        return "the images are streamed from files"
    networks = [member.network for member in members]
    obstacle = next(_obstacles(networks), None)
    if obstacle is not None:
        return obstacle
    with reproducible(0, data.device):
        # Some networks multiply rounding until only float64 tells it from a mistake, others insist
        # on float32.
        obstacle = _tried(networks, data, recipe, torch.float64)
        return obstacle and _tried(networks, data, recipe, torch.float32)


def _obstacles(networks: Sequence[torch.nn.Module]) -> Iterator[str]:
    """Yield what stands against a stack of `networks` and can be seen from outside."""
    first = networks[0]
    for name, module in first.named_modules():
        if any(getattr(module, hooks) for hooks in _HOOKS):
            yield f"{_called(name, module)} has hooks"
    types = {p.dtype for p in first.parameters() if p.requires_grad}
    if len(types) != 1:
        yield f"trainable parameters of {len(types)} types, in place of one"
    modules, tensors = str(first), _tensors(first)
    for other in networks[1:]:
        if str(other) != modules:
            yield "the networks are made of different modules"
        if _tensors(other) != tensors:
            yield "the networks have different parameters or buffers"


def _tensors(network: torch.nn.Module) -> list[tuple[object, ...]]:
    return [(name, t.shape, t.dtype, t.requires_grad) for name, t in network_state(network).items()]


# --- trying -------------------------------------------------------------------------------------


class _ObstacleError(Exception):
    """A clause that says why networks cannot be in a stack."""


def _tried(
    networks: Sequence[torch.nn.Module], data: ResidentData, recipe: Recipe, dtype: torch.dtype
) -> str | None:
    """Return what a stack of two does otherwise than the two alone: a clause; None if nothing."""
    # Weights that are not finite would show nothing; a single network is stacked with itself.
    sound_first = sorted(networks, key=lambda n: not math.isfinite(largest_weight(n)))
    pair = [copy.deepcopy(n).to(data.device).train() for n in [*sound_first, *sound_first][:2]]
    objective = objective_of(data)
    count = min(_IMAGES, recipe.batch_size)
    indices = torch.arange(2 * count, device=data.device) % len(data.train)
    images, labels = (x.unflatten(0, (2, count)) for x in data.batch("train", indices))
    try:
        with autocast(recipe, data.device):
            _together(pair, images, labels, objective)  # whether it can be done in this precision
        pair, images = [network.to(dtype) for network in pair], images.to(dtype)
        together = _together(pair, images, labels, objective)
        alone = [
            _alone(network, own, labels[i], images[0], objective)
            for i, (network, own) in enumerate(zip(pair, images, strict=True))
        ]
        for stacked, own in zip(together, alone, strict=True):
            _compare(stacked, own)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return _refusal(error)
    return None


@dataclass(frozen=True)
class _Outcome:
    """What a network makes of a batch."""

    logits: torch.Tensor
    gradients: Tensors  # of the sum of losses
    tensors: Tensors  # parameters and buffers after the forward pass, on the CPU
    judged: torch.Tensor  # logits in eval mode


def _together(
    networks: Sequence[torch.nn.Module],
    images: torch.Tensor,
    labels: torch.Tensor,
    objective: Objective,
) -> list[_Outcome]:
    """Return what a stack of `networks`, in training mode, makes of a batch for each of them."""
    stack = Stack(networks, images.device)
    logits = stack.logits(images)
    loss = objective.losses(logits.double(), labels).sum()
    (matrix,) = torch.autograd.grad(loss, stack.weights)
    gradients = stack.by_name(matrix)
    tensors = stack.tensors(range(len(networks)))
    stack.network.eval()
    with torch.no_grad():
        judged = stack.logits_for_all(images[0], len(networks))
    return [
        _Outcome(
            logits=logits[i].detach(),
            gradients={name: gradient[i] for name, gradient in gradients.items()},
            tensors=tensors[i],
            judged=judged[i],
        )
        for i in range(len(networks))
    ]


def _alone(
    network: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    images_to_judge: torch.Tensor,
    objective: Objective,
) -> _Outcome:
    """Return what `network`, which is in training mode, makes of a batch; raise what it must not.

    A parameter without a gradient is one that the optimiser would leave alone, but in a stack it
    would decay. What a module keeps besides parameters and buffers, a stack would keep once.
    """
    before = _attributes(network)
    logits = network(images)
    loss = objective.losses(logits.double(), labels).sum()
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
    for name, gradient in zip(trainable, gradients, strict=True):
        if gradient is None:
            raise _ObstacleError(f"`{name}` takes no part in the loss")
    for name, attributes in _attributes(network).items():
        if attributes != before[name]:
            module = network.get_submodule(name)
            raise _ObstacleError(f"{_called(name, module)} keeps a state of its own")
    tensors = {name: t.detach().cpu() for name, t in network_state(network).items()}
    network.eval()
    with torch.no_grad():
        judged = network(images_to_judge)
    return _Outcome(logits.detach(), dict(zip(trainable, gradients, strict=True)), tensors, judged)


def _compare(stacked: _Outcome, alone: _Outcome) -> None:
    """Raise `_ObstacleError` where a stack does something else than a network alone."""
    if not _close(stacked.logits, alone.logits):
        raise _ObstacleError("its logits are others in a stack")
    if not _close(stacked.judged, alone.judged):
        raise _ObstacleError("its logits in eval mode are others in a stack")
    for name, expected in alone.tensors.items():
        if not _close(stacked.tensors[name], expected):
            raise _ObstacleError(f"a forward pass changes `{name}` otherwise in a stack")
    # Where the gradient of a tensor is nothing but rounding, it is compared with those of others.
    noise = 1e-3 * max(_largest(gradient) for gradient in alone.gradients.values())
    for name, expected in alone.gradients.items():
        if not _close(stacked.gradients[name], expected, noise):
            raise _ObstacleError(f"the gradient of `{name}` is another in a stack")


def _close(tensor: torch.Tensor, expected: torch.Tensor, smallest: float = 0.0) -> bool:
    """Say whether two tensors are equal to rounding; what is not finite is not compared."""
    if tensor.shape != expected.shape:
        return False
    difference = tensor.double() - expected.double()
    return _largest(difference) <= _TOLERANCE * max(_largest(expected), smallest)


def _largest(tensor: torch.Tensor) -> float:
    """Return the largest magnitude of the finite entries; 0 where there are none."""
    magnitudes = tensor.double().abs().nan_to_num(nan=0, posinf=0)
    return magnitudes.max().item() if magnitudes.numel() else 0.0


def _attributes(network: torch.nn.Module) -> dict[str, str]:
    """Return what each module keeps besides parameters, buffers and modules."""
    return {
        name: repr({k: v for k, v in vars(module).items() if k not in _TENSORS})
        for name, module in network.named_modules()
    }


def _called(name: str, module: torch.nn.Module) -> str:
    return f"`{name}` ({type(module).__name__})" if name else f"{type(module).__name__}"


def _refusal(error: Exception) -> str:
    """Return a clause for what a stack, vmap or a network itself raised."""
    text = str(error)
    if isinstance(error, _ObstacleError):
        return text
    if "random operation" in text:
        return "it draws random numbers while it trains"
    if "data-dependent" in text or ".item()" in text:
        return "its forward pass depends on the values of its input"
    first_line = text.strip().partition("\n")[0]
    return f"a stack of it raises {type(error).__name__}: {first_line}"
