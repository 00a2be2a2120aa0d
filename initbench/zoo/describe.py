"""Zoos described for people and programs, as `initbench zoo list` and `show` print them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from initbench.suite.schema import Choice, label_of
from initbench.zoo.stored import PARTS, StoredZoo

if TYPE_CHECKING:
    from initbench.store.artifact import StoredArtifact

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

SPLIT_RULE = "in the order of the seeds, 70 % training, 15 % validation, 15 % test"


def line(zoo: StoredZoo) -> dict[str, Any]:
    """Return what a list says of a zoo."""
    identity = zoo.identity
    return {
        "key": zoo.key,
        **{part: _label(identity[part]) for part in ("model", "initialiser")},
        "dataset": _label(identity["data"]),
        "recipe": _recipe(identity["recipe"]),
        "networks": zoo.counts,
        "kept_epochs": zoo.kept_epochs,
    }


def description(zoo: StoredZoo) -> dict[str, Any]:
    """Return all there is to say of a zoo but its weights."""
    parts = zoo.parts
    return {
        **line(zoo),
        "identity": dict(zoo.identity),
        "split": _split(Counter(parts.values())),
        "quantiles": list(QUANTILES),
        "accuracies": [
            {"epoch": epoch, "split": split, "accuracy": quantiles(values)}
            for epoch in zoo.epochs
            for split, values in zip(("validation", "test"), zoo.accuracies(epoch), strict=True)
            if values
        ],
        "members": [
            {
                "seed": seed,
                "key": record.key,
                "status": record.status.value,
                "part": parts.get(seed),
                "validation_accuracy": record.final.get("validation_accuracy.best"),
            }
            for seed, record in zoo.records.items()
        ],
    }


def foreign_line(zoo: StoredArtifact) -> dict[str, Any]:
    """Return what a list says of a zoo that others trained."""
    networks = zoo.description["networks"]
    return {
        "key": zoo.key,
        "model": zoo.identity["model"],
        "initialiser": "",
        "dataset": zoo.description["label"],
        "recipe": f"foreign: {zoo.identity['source']}",
        "networks": {"foreign": len(networks)},
        "kept_epochs": zoo.identity["kept_epochs"],
    }


def foreign_description(zoo: StoredArtifact) -> dict[str, Any]:
    """Return all there is to say of a zoo that others trained but its weights."""
    networks = zoo.description["networks"]
    columns = zip(*(network["test_accuracy"] for network in networks), strict=True)
    by_epoch = zip(zoo.identity["kept_epochs"], columns, strict=True)
    known = ((epoch, [x for x in values if x is not None]) for epoch, values in by_epoch)
    return {
        **foreign_line(zoo),
        "split": "not split: it has no seeds of ours",
        "quantiles": list(QUANTILES),
        "accuracies": [
            {"epoch": epoch, "split": "test", "accuracy": quantiles(values)}
            for epoch, values in known
            if values
        ],
        "members": networks,
    }


def quantiles(values: Sequence[float]) -> list[float]:
    """Return the `QUANTILES` of some values, interpolated between neighbours."""
    import numpy as np

    found: list[float] = np.quantile(values, QUANTILES).tolist()
    return found


def _split(sizes: Mapping[str, int]) -> str:
    if not sizes:
        return "too few networks"
    return f"{' / '.join(str(sizes[part]) for part in PARTS)} ({SPLIT_RULE})"


def _label(reference: Mapping[str, Any]) -> str:
    """Return a name with its configuration, as far as a name alone would not say it."""
    return label_of(Choice.model_validate({"name": reference["name"], **reference["config"]}))


def _recipe(recipe: Mapping[str, Any]) -> str:
    optimiser = recipe["optimiser"]
    return (
        f"{optimiser['name']}, rate {optimiser['lr']:g}, batches of {recipe['batch_size']}, "
        f"{recipe['epochs']} epochs"
    )
