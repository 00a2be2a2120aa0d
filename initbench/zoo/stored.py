"""Zoos of a store: trials that are equal but for the seed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from initbench.errors import UserError
from initbench.plugin.sources import split_sizes
from initbench.store.identity import digest
from initbench.store.record import Record, TrialStatus
from initbench.zoo.foreign import foreign_zoos
from initbench.zoo.members import last_epoch, test_after, validation_after

if TYPE_CHECKING:
    from initbench.store.artifact import StoredArtifact
    from initbench.store.store import Store

LEAST = 2
"""Fewer networks are no population."""

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class StoredZoo:
    """A population of trials that are equal but for the seed."""

    identity: Mapping[str, Any]
    """What the trials have in common: the identity of each, without its seed."""
    records: Mapping[int, Record]
    """By seed, rising."""

    @cached_property
    def key(self) -> str:
        """The digest of the identity: how the zoo is called."""
        return digest(self.identity)

    @cached_property
    def done(self) -> list[Record]:
        """The members, in the order of their seeds: what trained to the end."""
        return [r for r in self.records.values() if r.status is TrialStatus.DONE]

    @property
    def counts(self) -> dict[str, int]:
        """How many trials ended in which way."""
        return dict(Counter(record.status.value for record in self.records.values()))

    @property
    def kept_epochs(self) -> list[int]:
        """The epochs whose weights are kept besides best and last."""
        return list(self.identity["recipe"]["evaluation"].get("kept_epochs", []))

    @property
    def epochs(self) -> list[int]:
        """The epochs of which accuracies are known: the first, those that are kept, the last."""
        return sorted({0, *self.kept_epochs, last_epoch(self.identity["recipe"])})

    @property
    def parts(self) -> dict[int, Part]:
        """The part of each member in the split by model, by seed; none if there are too few.

        The rule is that of `Zoo.split`: in the order of the seeds, 70 % training, 15 % validation.
        """
        sizes = split_sizes(len(self.done))
        if sizes is None:
            return {}
        names = [part for part, size in zip(PARTS, sizes, strict=True) for _ in range(size)]
        return {r.identity["seed"]: part for r, part in zip(self.done, names, strict=True)}

    def accuracies(self, epoch: int) -> tuple[list[float], list[float]]:
        """Return the validation and test accuracies of the members after an epoch, where known."""
        validation = (validation_after(record, epoch) for record in self.done)
        test = (test_after(record, epoch) for record in self.done)
        return [x for x in validation if not math.isnan(x)], [x for x in test if x is not None]


def zoos_of(records: Iterable[Record]) -> list[StoredZoo]:
    """Return the zoos that records make up, the largest first."""
    groups: dict[str, dict[int, Record]] = {}
    identities: dict[str, dict[str, Any]] = {}
    for record in records:
        identity = {k: v for k, v in record.identity.items() if k != "seed"}
        key = digest(identity)
        identities[key] = identity
        groups.setdefault(key, {})[record.identity["seed"]] = record
    zoos = [
        StoredZoo(identities[key], dict(sorted(group.items())))
        for key, group in groups.items()
        if len(group) >= LEAST
    ]
    return sorted(zoos, key=lambda zoo: (-len(zoo.records), zoo.key))


def stored_zoos(store: Store) -> list[StoredZoo]:
    """Return the zoos of a store, the largest first."""
    return zoos_of(store.records(store.keys()).values())


def stored_zoo(store: Store, prefix: str) -> StoredZoo | StoredArtifact:
    """Return the zoo whose key begins with `prefix`, be it of others.

    Raises UserError where there is not exactly one.
    """
    zoos: list[StoredZoo | StoredArtifact] = [*stored_zoos(store), *foreign_zoos(store)]
    found = [zoo for zoo in zoos if zoo.key.startswith(prefix.lower())]
    if not found:
        raise UserError(
            f"no zoo in `{store.paths.root}` has a key that begins with `{prefix}`; "
            "`initbench zoo list` lists them"
        )
    if len(found) > 1:
        shown = ", ".join(zoo.key[:12] for zoo in found[:5])
        raise UserError(f"`{prefix}` begins {len(found)} keys ({shown}); give more characters")
    return found[0]
