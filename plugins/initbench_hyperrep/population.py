"""The checkpoints of a zoo as rows: what the autoencoder learns, and what it is judged by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from initbench.api import PluginError, Zoo, ZooMember
from initbench_hyperrep.tokens import TokenTable

LEAST_ROWS = 2
"""A network is contrasted with others."""


@dataclass(frozen=True)
class Population:
    """Checkpoints of some networks, those of one network together."""

    rows: Tensor  # (checkpoints, size)
    accuracy: Mapping[str, Tensor]
    """On `validation` and `test` images, (checkpoints,); NaN where the zoo was not tested."""
    networks: Tensor  # (checkpoints,): seeds


@dataclass(frozen=True)
class Parts:
    """A zoo, split by network."""

    train: Population
    validation: Population
    test: Population
    dropped: int
    """Networks left out because a weight is NaN or infinite."""


def parts_of(zoo: Zoo, table: TokenTable, epochs: Sequence[int]) -> Parts:
    """Return the checkpoints of these epochs, 70 % of the networks to learn from.

    Raises:
        UserError: too few networks are left to be split.
        UnsupportedError: the networks are of another architecture.
        PluginError: no network has finite weights.
    """
    found = {member.seed: _population([member], table, epochs) for member in zoo}
    finite = [x for x in zoo if bool(found[x.seed].rows.isfinite().all())]
    if not finite:
        raise PluginError(
            f"none of the {len(zoo)} networks of the zoo has finite weights "
            f"({zoo.missing} more diverged or failed): there is nothing to learn"
        )
    parts = Zoo(finite, missing=zoo.missing).split()
    train, validation, test = (_joined([found[x.seed] for x in part]) for part in parts)
    if len(train.rows) < LEAST_ROWS:
        raise PluginError(
            f"the zoo leaves {len(train.rows)} checkpoint to learn from, expected at least "
            f"{LEAST_ROWS}: more `networks`, or more `checkpoints` of each"
        )
    return Parts(train, validation, test, dropped=len(zoo) - len(finite))


def _population(
    members: Sequence[ZooMember], table: TokenTable, epochs: Sequence[int]
) -> Population:
    kept = [(member.seed, member.checkpoints[epoch]) for member in members for epoch in epochs]
    nan = float("nan")
    return Population(
        torch.stack([table.flatten(x.weights) for _, x in kept]),
        {
            "validation": torch.tensor([x.validation_accuracy for _, x in kept]),
            "test": torch.tensor(
                [nan if x.test_accuracy is None else x.test_accuracy for _, x in kept]
            ),
        },
        torch.tensor([seed for seed, _ in kept]),
    )


def _joined(found: Sequence[Population]) -> Population:
    return Population(
        torch.cat([x.rows for x in found]),
        {key: torch.cat([x.accuracy[key] for x in found]) for key in ("validation", "test")},
        torch.cat([x.networks for x in found]),
    )
