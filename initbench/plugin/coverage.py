"""The coverage map: what an initialiser did to each parameter, and why.

Nobody should benchmark a fallback by accident, so every initialisation accounts for every
parameter, and the harness checks the account against digests taken before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from initbench.errors import PluginError

if TYPE_CHECKING:
    import torch


class Treatment(StrEnum):
    """What was done to a parameter."""

    GENERATED = "generated"  # by the method itself
    RULE = "rule"  # by a fixed rule that belongs to the method (zero biases, unit scales)
    FALLBACK = "fallback"  # by another method, because this one could not
    UNTOUCHED = "untouched"  # left as the model's constructor made it


@dataclass(frozen=True)
class CoverageEntry:
    """The treatment of one parameter, with its number of elements and the reason."""

    treatment: Treatment
    elements: int
    reason: str


@dataclass
class CoverageMap:
    """The treatment of every parameter of one network, by parameter name.

    >>> import torch
    >>> coverage = CoverageMap.of(torch.nn.Linear(3, 2))
    >>> coverage.generated("weight", "normal, variance 2 / fan-in")
    >>> coverage.rule("bias", "zero")
    >>> coverage.share(Treatment.GENERATED)
    0.75
    """

    elements: Mapping[str, int]
    entries: dict[str, CoverageEntry] = field(default_factory=dict)
    buffers: str = ""
    """Why buffers (running statistics) were set, if they were."""

    @classmethod
    def of(cls, network: torch.nn.Module) -> CoverageMap:
        """Return a map of `network` in which nothing is accounted for yet."""
        return cls({name: p.numel() for name, p in network.named_parameters()})

    def generated(self, parameter: str, reason: str) -> None:
        self._set(parameter, Treatment.GENERATED, reason)

    def rule(self, parameter: str, reason: str) -> None:
        self._set(parameter, Treatment.RULE, reason)

    def fallback(self, parameter: str, reason: str) -> None:
        self._set(parameter, Treatment.FALLBACK, reason)

    def untouched(self, parameter: str, reason: str) -> None:
        self._set(parameter, Treatment.UNTOUCHED, reason)

    def untouched_rest(self, reason: str) -> None:
        """Account for every parameter not named so far as untouched."""
        for parameter in self.elements:
            if parameter not in self.entries:
                self.untouched(parameter, reason)

    def sets_buffers(self, reason: str) -> None:
        """State that buffers are part of what the method sets; otherwise it is remarked upon."""
        self.buffers = reason

    def missing(self) -> list[str]:
        """Return the parameters that are not accounted for."""
        return [name for name in self.elements if name not in self.entries]

    def share(self, treatment: Treatment) -> float:
        """Return the share of all elements that had this treatment (0 for an empty network)."""
        total = sum(self.elements.values())
        treated = sum(e.elements for e in self.entries.values() if e.treatment is treatment)
        return treated / total if total else 0.0

    def __iter__(self) -> Iterator[tuple[str, CoverageEntry]]:
        return iter(self.entries.items())

    def _set(self, parameter: str, treatment: Treatment, reason: str) -> None:
        if parameter not in self.elements:
            raise PluginError(
                f"coverage map: the network has no parameter `{parameter}`; "
                f"it has {', '.join(f'`{name}`' for name in self.elements) or 'none'}"
            )
        self.entries[parameter] = CoverageEntry(treatment, self.elements[parameter], reason)
