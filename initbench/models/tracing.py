"""Finds the layers of a network, their roles, and the activation that really follows each.

Three ways, the first that works: torch.fx, which needs no data; the run of an example, for forward
methods that look at values; and the order in which modules are registered, which is a guess and is
labelled as one.
"""

from __future__ import annotations

import math
from collections import Counter

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from initbench.errors import UserError
from initbench.models.activations import IDENTITY, Activation, of_module
from initbench.models.anatomy import Anatomy, Layer, LayerKind, LayerRole, SelfDescribed
from initbench.models.flow import CONVOLUTIONS, NORMS, WEIGHT_LAYERS, Flow, following
from initbench.models.flow_observed import observed_flow
from initbench.models.flow_symbolic import symbolic_flow

Owned = dict[str, dict[str, str]]
"""By module: its own parameters, local name to full name."""


def anatomy(network: nn.Module, example: Tensor | None = None) -> Anatomy:
    """Return the layers of `network`, in forward order where it could be traced.

    `example` is a batch of inputs; it is run only where torch.fx cannot see through the network.
    A module used several times is described by its first use; where paths branch, the activation
    that is reached first, breadth first, counts. A network that states its anatomy is believed.

    Raises UserError for a network with lazy modules, whose shapes are not known yet.
    """
    if isinstance(network, SelfDescribed):
        return network.anatomy()
    _refuse_lazy(network)
    flow, note = _read_flow(network, example)
    owned = _owned(network)
    reached = [name for name in (owned if flow is None else flow) if name in owned]
    unreached = [name for name in owned if name not in set(reached)]
    roles = _roles([n for n in reached if isinstance(network.get_submodule(n), WEIGHT_LAYERS)])
    guesses = _guess(network)
    layers = []
    for name in [*reached, *unreached]:
        operation = flow.get(name) if flow is not None else None
        if operation is not None:
            activation, source = following(operation), "traced"
        else:
            activation, source = guesses[name], f"assumed: {_reason(name, flow)}"
        layer = _layer(
            name,
            network.get_submodule(name),
            owned[name],
            role=roles.get(name, LayerRole.HIDDEN),
            activation=activation,
            activation_from=source,
        )
        layers.append(layer)
    return Anatomy(tuple(layers), traced=flow is not None, note=note)


def _refuse_lazy(network: nn.Module) -> None:
    for name, parameter in network.named_parameters():
        if is_lazy(parameter):
            raise UserError(
                f"the shape of parameter `{name}` is not known yet, because its module is lazy; "
                "expected a network with all shapes set; run one batch through it first"
            )


def _read_flow(network: nn.Module, example: Tensor | None) -> tuple[Flow | None, str]:
    """Return the flow, None where it cannot be read, and what was in the way."""
    flow: Flow | None = None
    try:
        flow = symbolic_flow(network)
        hidden = [name for name, operation in flow.items() if operation is None]
        if not hidden:
            return flow, ""
        problem = f"torch.fx does not see what follows {len(hidden)} modules, first `{hidden[0]}`"
    except Exception as error:  # whatever a foreign forward method raises when traced
        problem = f"torch.fx cannot trace the network ({_brief(error)})"
    if example is None:
        return flow, problem
    try:
        return observed_flow(network, example), f"{problem}; an example was run instead"
    except Exception as error:
        return flow, f"{problem}; the example could not be run ({_brief(error)})"


def _brief(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def _reason(name: str, flow: Flow | None) -> str:
    if flow is None:
        return "guessed from the order of modules, because the network cannot be traced"
    if name in flow:
        return "guessed from the order of modules, because its caller hides it from torch.fx"
    return "guessed from the order of modules, because the forward pass does not reach it"


def _owned(network: nn.Module) -> Owned:
    """Return the modules that own parameters; a tied tensor belongs to the first of its owners."""
    owned: Owned = {}
    for full, _ in network.named_parameters():
        module, _, local = full.rpartition(".")
        owned.setdefault(module, {})[local] = full
    return owned


def _roles(weight_layers: list[str]) -> dict[str, LayerRole]:
    """Return the roles of layers in forward order; the only one there is is the head."""
    roles = dict.fromkeys(weight_layers, LayerRole.HIDDEN)
    if weight_layers:
        roles[weight_layers[0]] = LayerRole.STEM
        roles[weight_layers[-1]] = LayerRole.HEAD
    return roles


def _layer(
    name: str,
    module: nn.Module,
    owned: dict[str, str],
    *,
    role: LayerRole,
    activation: Activation,
    activation_from: str,
) -> Layer:
    kind = _kind(module)
    named = () if kind is LayerKind.OTHER else ("weight", "bias")
    weight = owned.get("weight") if named else None
    fan_in, fan_out = _fans(module, kind)
    return Layer(
        name=name,
        kind=kind,
        role=role,
        weight=weight,
        bias=owned.get("bias") if named else None,
        others=tuple(full for local, full in owned.items() if local not in named),
        shape=tuple(module.get_parameter("weight").shape) if weight else (),
        groups=int(module.groups) if isinstance(module, CONVOLUTIONS) else 1,
        fan_in=fan_in,
        fan_out=fan_out,
        activation=activation.name,
        activation_parameter=activation.parameter,
        activation_from=activation_from,
    )


def _kind(module: nn.Module) -> LayerKind:
    if isinstance(module, CONVOLUTIONS):
        return LayerKind.CONV
    if isinstance(module, nn.Linear):
        return LayerKind.LINEAR
    if isinstance(module, NORMS):
        return LayerKind.NORM
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return LayerKind.EMBEDDING
    return LayerKind.OTHER


def _fans(module: nn.Module, kind: LayerKind) -> tuple[int, int]:
    """Return fan-in and fan-out of one group; (0, 0) without a weight matrix of its own or tied.

    As `torch.nn.init` counts them, with two differences: each group of a convolution counts as a
    layer of its own, and a transposed convolution, whose weight is (in, out / groups, *kernel), has
    the fans of what it computes.
    """
    weight = module._parameters.get("weight")
    if kind in (LayerKind.NORM, LayerKind.OTHER) or weight is None:
        return 0, 0
    first, second, *kernel = weight.shape
    positions = math.prod(kernel)
    if isinstance(module, CONVOLUTIONS):
        first //= module.groups
        if module.transposed:
            first, second = second, first
    return second * positions, first * positions


def _guess(network: nn.Module) -> dict[str, Activation]:
    """Guess what follows each module from the order in which modules are registered.

    An activation module between a layer and the next layer counts. Where there is none, it is the
    network's most frequent one (ReLU, where all of them are functions), and for the last layer the
    identity.
    """
    found: dict[str, Activation] = {}
    waiting: list[str] = []
    last: list[str] = []
    frequency: Counter[Activation] = Counter()
    for name, module in network.named_modules():
        activation = of_module(module)
        if activation is not None:
            found.update(dict.fromkeys(waiting, activation))
            waiting = []
            frequency[activation] += activation is not IDENTITY
        elif isinstance(module, WEIGHT_LAYERS):
            waiting = last = [name]
        else:
            waiting.append(name)
    usual = max(frequency, key=frequency.__getitem__, default=Activation("relu"))
    otherwise = dict.fromkeys((name for name, _ in network.named_modules()), usual)
    return {**otherwise, **dict.fromkeys(last, IDENTITY), **found}
