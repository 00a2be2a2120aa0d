"""Noise and orthogonal matrices in the deep layers of a network (Knyazev 2022, section 3).

For each counted layer from L on, but not the last one, with M(w) the weight as a matrix of at least
as many rows as columns:

    w <- w + beta * s * noise,  s the standard deviation of all correlations between rows of M(w)
    M(w) <- Q * sign(diag R),   Q R the decomposition of M(w)

Counted are modules with a `weight` of rank 2 or more, in the order of definition, from 1. That is
what the released code does. The paper means correlations between output channels, and noise on all
parameters: `noise_scope: all` gives biases and norms the noise of the counted layer before them.

Deviations: where correlations cannot be computed (a constant row, a single column), there is no
noise; a zero on the diagonal of R counts as positive.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from initbench.api import CoverageMap, Treatment
from initbench_ghn.options import OrthogonalOptions

PUBLISHED = {54: 37, 113: 94}
"""Counted layers -> L, for ResNet-50 and ConvNeXt-Base."""


@torch.no_grad()
def orthogonalise(
    network: nn.Module,
    options: OrthogonalOptions,
    generator: torch.Generator,
    coverage: CoverageMap | None = None,
) -> None:
    """Process the weights of `network` in place, and say so in the coverage map."""
    layers = counted(network)
    first = options.first_layer or default_first(len(layers))
    spread = 0.0
    position = {name: i for i, (name, _) in enumerate(layers, start=1)}
    for name, parameter in network.named_parameters():
        number = position.get(name)
        if number is None:
            if options.noise_scope == "all" and spread:
                _add_noise(parameter, options.beta * spread, generator)
                _note(coverage, name, "noise")
            continue
        is_deep = first <= number < len(layers)
        if not is_deep and options.noise_scope == "code":
            continue
        spread = correlation_spread(parameter)
        done = []
        if options.beta and spread:
            _add_noise(parameter, options.beta * spread, generator)
            done.append("noise")
        if options.orthogonal and is_deep:
            parameter.copy_(nearest_orthogonal(parameter))
            done.append("orthogonal by QR")
        _note(coverage, name, ", ".join(done))


def counted(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the weights of rank 2 or more of modules, in the order of definition."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = []
    for module in network.modules():
        weight = module._parameters.get("weight")
        if weight is not None and weight.ndim >= 2 and id(weight) in names:
            found.append((names[id(weight)], weight))
    return found


def default_first(layers: int) -> int:
    """Return L for a network with so many counted layers."""
    return PUBLISHED.get(layers, max(1, round(layers * 37 / 54)))


def nearest_orthogonal(weight: Tensor) -> Tensor:
    """Return a tensor of the same shape whose matrix is the Q of its decomposition."""
    matrix, is_transposed = _matrix(weight)
    q, r = torch.linalg.qr(matrix)
    signs = torch.where(r.diagonal() < 0, -1.0, 1.0)
    result: Tensor = q * signs
    result = result.T if is_transposed else result
    return result.reshape(weight.shape)


def correlation_spread(weight: Tensor) -> float:
    """Return the standard deviation of all correlations between rows; 0 where there are none."""
    matrix, _ = _matrix(weight)
    if matrix.shape[1] < 2 or matrix.shape[0] < 2:
        return 0.0
    centred = matrix - matrix.mean(1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    if (norms == 0).any():
        return 0.0
    unit = centred / norms
    # Of all (rows x rows) correlations, by way of (columns x columns): rows may be 40,000.
    total = float(unit.sum(0).double().square().sum())
    squares = float((unit.T @ unit).double().square().sum())
    count = len(unit) ** 2
    return math.sqrt(max((squares - total**2 / count) / (count - 1), 0.0))


def _matrix(weight: Tensor) -> tuple[Tensor, bool]:
    matrix = weight.detach().reshape(len(weight), -1)
    is_transposed = matrix.shape[0] < matrix.shape[1]
    return (matrix.T if is_transposed else matrix), is_transposed


def _add_noise(parameter: Tensor, std: float, generator: torch.Generator) -> None:
    noise = torch.randn(parameter.shape, generator=generator)
    parameter.add_(std * noise.to(parameter.device))


def _note(coverage: CoverageMap | None, name: str, done: str) -> None:
    if coverage is None or not done:
        return
    (entry,) = (entry for other, entry in coverage if other == name)
    if entry.treatment is Treatment.FALLBACK:
        coverage.fallback(name, f"{entry.reason}; then {done}")
    else:
        coverage.generated(name, f"{entry.reason}; then {done}")
