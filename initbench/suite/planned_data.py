"""The data of a plan: what images there are, at which sizes, and networks built for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from initbench.errors import UserError
from initbench.plugin.guard import contained
from initbench.store.manifest import DatasetNote
from initbench.suite.trial import DataReference, Reference

if TYPE_CHECKING:
    import torch

    from initbench.data.dataset import DataSet, SplitName
    from initbench.data.identify import Identified
    from initbench.models.anatomy import Anatomy
    from initbench.models.model import Model

Identify = Callable[["DataSet[Any]", Reference], "Identified"]
"""Tells what images a data set has on this machine."""


@dataclass
class PlannedData:
    """Collects the data that a plan needs; each data set is identified once."""

    identify: Identify
    data: dict[str, DataReference] = field(default_factory=dict)  # by key
    split_sizes: dict[str, Mapping[SplitName, int]] = field(default_factory=dict)  # by key
    notes: dict[str, DatasetNote] = field(default_factory=dict)  # by label
    _identified: dict[str, Identified] = field(default_factory=dict)
    _anatomies: dict[tuple[str, int, int, int], Anatomy] = field(default_factory=dict)

    def register(
        self, dataset: DataSet[Any], reference: Reference, size: int, label: str
    ) -> DataReference:
        """Register images of a data set, under a label, at a size."""
        name = str(reference.tree())
        if name not in self._identified:
            self._identified[name] = self.identify(dataset, reference)
        known = self._identified[name]
        self.notes.setdefault(label, _dataset_note(label, dataset, reference, known))
        data = DataReference(reference, size, known.fingerprint)
        self.data[data.key] = data
        self.split_sizes[data.key] = known.sizes
        return data

    def anatomy(
        self, model: Model[Any], reference: Reference, dataset: DataSet[Any], size: int
    ) -> Anatomy:
        """Return the anatomy of a model, built for images of a data set at a size."""
        import torch

        from initbench.models.tracing import anatomy as trace

        key = (str(reference.tree()), dataset.channels, size, dataset.classes)
        if key not in self._anatomies:
            network = self._network(model, dataset, size)
            example = torch.zeros(2, dataset.channels, size, size)
            self._anatomies[key] = trace(network, example)
        return self._anatomies[key]

    def _network(self, model: Model[Any], dataset: DataSet[Any], size: int) -> torch.nn.Module:
        outcome = contained(lambda: model.build(dataset.channels, size, dataset.classes))
        if isinstance(outcome.error, UserError):
            raise outcome.error
        return outcome.result(
            f"model `{model.name}`, built for `{dataset.name}` ({dataset.channels} channels, "
            f"{size}x{size} pixels, {dataset.classes} classes),"
        )


def _dataset_note(
    label: str, dataset: DataSet[Any], reference: Reference, known: Identified
) -> DatasetNote:
    return DatasetNote(
        label=label,
        name=reference.name,
        config=reference.config,
        summary=dataset.summary,
        citation=dataset.citation.text,
        url=dataset.citation.url,
        licence=dataset.licence,
        fingerprint=known.fingerprint,
        images={**known.sizes},
        marks=list(dict.fromkeys(remark.mark for remark in known.remarks)),
        remarks=[str(remark) for remark in known.remarks],
    )
