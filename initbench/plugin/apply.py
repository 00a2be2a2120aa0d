"""Checked application: an initialiser sets the weights, and what it says it did is verified.

Whatever the initialiser claims in its coverage map is held against digests of every parameter and
buffer before and after. Same seed, same weights, even for one that draws from the generators that
everybody shares: they are seeded for the call, put back, and the use is noted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initbench.errors import PluginError, UnsupportedError, UserError
from initbench.models.digest import combined_digest, weight_digests
from initbench.plugin.coverage import CoverageMap, Treatment
from initbench.plugin.guard import Outcome, contained, shared_generators
from initbench.plugin.initialiser import Initialisation, Support
from initbench.streams import Stream, generator, stream_seed

if TYPE_CHECKING:
    import torch

    from initbench.models.anatomy import Anatomy
    from initbench.plugin.initialiser import Artifact, Batch, Initialiser


@dataclass(frozen=True)
class Applied:
    """What an initialiser did to a network, verified."""

    coverage: CoverageMap
    initial_weights_digest: str
    """Over all parameters and buffers."""
    notes: list[str]
    """What the initialiser should not have done, but could be undone or does no harm."""


def apply(
    initialiser: Initialiser[Any],
    network: torch.nn.Module,
    anatomy: Anatomy,
    *,
    seed: int,
    batch: Batch | None = None,
    artifact: Artifact | None = None,
) -> Applied:
    """Initialise `network` in place and verify the coverage map.

    Args:
        initialiser: the configured initialiser.
        network: the network, on its device; it stays in the training mode it came in.
        anatomy: of this network.
        seed: the trial's seed; the generator handed over is its stream `WEIGHTS`.
        batch: training images, where `images_needed` asks for some.
        artifact: the fitted state, where `sources` declares any.

    Raises:
        UnsupportedError: the initialiser does not support the network, for the reason it gives.
        PluginError: it raised, or what it did is not what it says it did.
    """
    who = f"initialiser `{initialiser.name}`"
    _check_support(who, initialiser, anatomy)
    before = _State.of(network)
    job = Initialisation(anatomy, generator(seed, Stream.WEIGHTS), batch, artifact, seed)
    # Sub-stream 1: whoever draws from both generators must not draw the same numbers twice.
    with shared_generators(stream_seed(seed, Stream.WEIGHTS, index=1)):
        outcome = contained(lambda: initialiser.initialise(network, job))
    coverage = _coverage(who, outcome)
    before.restore_modes(network)
    after = _State.of(network)
    if found := list(_violations(before, after, coverage, network)):
        raise PluginError(f"{who} broke its contract: {'; '.join(found)}")
    remarks = [*outcome.remarks(), *_remarks(before, after, coverage)]
    return Applied(coverage, combined_digest(after.digests), [f"{who} {x}" for x in remarks])


def _check_support(who: str, initialiser: Initialiser[Any], anatomy: Anatomy) -> None:
    support = contained(lambda: initialiser.supports(anatomy)).result(who)
    if not isinstance(support, Support):
        raise PluginError(f"{who}: expected `supports` to return a Support, got {support!r}")
    if not support.supported:
        raise UnsupportedError(f"{who} does not support this network: {support.reason}")


def _coverage(who: str, outcome: Outcome[CoverageMap]) -> CoverageMap:
    if isinstance(outcome.error, UnsupportedError | UserError):
        raise outcome.error
    coverage = outcome.result(who)
    if not isinstance(coverage, CoverageMap):
        raise PluginError(f"{who}: expected `initialise` to return a CoverageMap, got {coverage!r}")
    return coverage


@dataclass(frozen=True)
class _State:
    """A network at one moment."""

    digests: dict[str, str]  # of parameters and buffers
    layouts: dict[str, str]  # of parameters
    constant: set[str]  # parameters in which every element has the same value
    infinite: set[str]  # parameters with an element that is NaN or infinite
    training: dict[str, bool]  # by module
    without_gradient: set[str]  # parameters that have no `grad`

    @classmethod
    def of(cls, network: torch.nn.Module) -> _State:
        parameters = {name: p.detach() for name, p in network.named_parameters()}
        return cls(
            digests=weight_digests(network),
            layouts={name: _layout(p) for name, p in network.named_parameters()},
            constant={name for name, p in parameters.items() if _is_constant(p)},
            infinite={name for name, p in parameters.items() if not p.isfinite().all()},
            training={name: module.training for name, module in network.named_modules()},
            without_gradient={n for n, p in network.named_parameters() if p.grad is None},
        )

    @property
    def buffers(self) -> dict[str, str]:
        """The digests of the buffers alone."""
        return {name: digest for name, digest in self.digests.items() if name not in self.layouts}

    def restore_modes(self, network: torch.nn.Module) -> None:
        """Put training modes back and drop the gradients that were left behind."""
        for name, module in network.named_modules():
            module.training = self.training.get(name, module.training)
        for name, parameter in network.named_parameters():
            if name in self.without_gradient:
                parameter.grad = None


def _layout(parameter: torch.Tensor) -> str:
    frozen = "" if parameter.requires_grad else ", without gradient"
    return f"{list(parameter.shape)} {parameter.dtype} on {parameter.device}{frozen}"


def _is_constant(parameter: torch.Tensor) -> bool:
    flat = parameter.flatten()
    return bool((flat == flat[:1]).all())


def _violations(
    before: _State, after: _State, coverage: CoverageMap, network: torch.nn.Module
) -> Iterator[str]:
    """Yield every broken promise, as a clause without a subject."""
    if gone := before.digests.keys() - after.digests.keys():
        yield f"it removed {_names(gone)}"
    if new := after.digests.keys() - before.digests.keys():
        yield f"it added {_names(new)}"
    for name in before.layouts.keys() & after.layouts.keys():
        if before.layouts[name] != after.layouts[name]:
            yield f"it turned `{name}` from {before.layouts[name]} into {after.layouts[name]}"
    if after.infinite:
        yield f"it left NaN or infinity in {_names(after.infinite)}"
    if coverage.elements != CoverageMap.of(network).elements:
        yield "its coverage map is of another network"
    elif missing := coverage.missing():
        yield f"its coverage map does not account for {_names(missing)}"
    else:
        yield from _false_claims(before, after, coverage)


def _false_claims(before: _State, after: _State, coverage: CoverageMap) -> Iterator[str]:
    for name, entry in coverage:
        is_same = before.digests[name] == after.digests.get(name)
        if entry.treatment is Treatment.UNTOUCHED and not is_same:
            yield f"it changed `{name}`, which its coverage map calls untouched"
        # A constant may have been set to the very same constant; random numbers never recur.
        if entry.treatment is Treatment.GENERATED and is_same and name not in before.constant:
            yield f"it did not change `{name}`, which its coverage map calls generated"


def _remarks(before: _State, after: _State, coverage: CoverageMap) -> Iterator[str]:
    if coverage.buffers:
        return
    changed = {name for name in before.buffers if before.buffers[name] != after.buffers[name]}
    if changed:
        yield f"changed the buffers {_names(changed)}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
