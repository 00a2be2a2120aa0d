"""Material: what all sides train, on which images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from initbench.data.dataset import ImageSplits, Split
from initbench.data.prepared import from_tensors, to_tensors
from initbench.models.model import Model
from initbench.training.outcome import Member
from initbench.training.recipe import Recipe


@dataclass(frozen=True)
class Material:
    """What is trained, on which images."""

    model: Model[Any]
    recipe: Recipe
    tensors: Path  # of the prepared data
    description: dict[str, Any]
    device: str

    @classmethod
    def written(
        cls, model: Model[Any], recipe: Recipe, splits: ImageSplits, device: str, folder: Path
    ) -> Material:
        """Write the images into `folder` for all processes: but for training, two a split."""
        tensors, description = to_tensors(first_images(splits, len(splits.train), evaluated=2))
        path = folder / "images.safetensors"
        save_file(tensors, path)
        return cls(model, recipe, path, description, device)

    def splits(self) -> ImageSplits:
        """Return the images, which all processes map from one file."""
        return from_tensors(load_file(self.tensors), self.description, None)

    def network(self, seed: int, splits: ImageSplits) -> torch.nn.Module:
        """Return a network as the model builds it."""
        torch.manual_seed(seed)
        return self.model.build(splits.channels, splits.image_size, splits.classes)

    def member(self, seed: int, splits: ImageSplits) -> Member:
        """Return a network on the device in its model's layout, for our trainer."""
        network = self.network(seed, splits).to(self.device)
        return Member(self.model.laid_out(network), seed)


def first_images(splits: ImageSplits, train: int, evaluated: int) -> ImageSplits:
    """Return the first images of each split: `train` to train on, `evaluated` of the others."""

    def first(split: Split, images: int) -> Split:
        return Split(split.images[:images], split.labels[:images], split.ids[:images])

    return replace(
        splits,
        train=first(splits.train, train),
        validation=first(splits.validation, evaluated),
        test=first(splits.test, evaluated),
    )
