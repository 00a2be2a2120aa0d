"""The plain loop: how a researcher trains one network with PyTorch and torchvision.

The data set is torchvision's, with its transforms and a shuffling DataLoader; the network, its
layout in memory and the optimiser are as PyTorch gives them. In its favour, nothing reads the loss
from the device at each step, as many such loops do.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, RandomSampler
from torchvision.transforms import Compose, Normalize, ToTensor

from initbench.bench.images import torchvision_dataset
from initbench.data.dataset import ImageSplits
from initbench.training.recipe import Optimiser


def plain_dataset(splits: ImageSplits) -> Any:
    """Return torchvision's data set of the training images, normalised."""
    dataset = torchvision_dataset(splits.train)
    dataset.transform = Compose([ToTensor(), Normalize(splits.mean, splits.std)])
    return dataset


def plain_loader(
    dataset: Any, batch_size: int, batches: int, workers: int, device: torch.device
) -> DataLoader[Any]:
    """Return a loader of the first `batches` batches of a new random order each time."""
    return DataLoader(
        dataset,
        batch_size,
        # What `shuffle=True` makes, ended early.
        sampler=RandomSampler(dataset, num_samples=batches * batch_size),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        # What is usual on this platform, in processes that were started otherwise too.
        multiprocessing_context=multiprocessing.get_all_start_methods()[0] if workers else None,
    )


def plain_optimiser(network: torch.nn.Module, optimiser: Optimiser) -> torch.optim.Optimizer:
    """Return torch's optimiser in the implementation that it chooses itself."""
    kind: type[torch.optim.Optimizer] = getattr(torch.optim, type(optimiser).__name__)
    return kind(network.parameters(), **optimiser.model_dump(exclude={"name"}))


def train_plainly(
    network: torch.nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    optimiser: torch.optim.Optimizer,
    device: torch.device,
) -> list[torch.Tensor]:
    """Train `network`, which is on `device`, on each batch; return the losses, on the device."""
    network.train()
    losses = []
    for images, labels in batches:
        optimiser.zero_grad()
        logits = network(images.to(device, non_blocking=True))
        loss = F.cross_entropy(logits, labels.to(device, non_blocking=True))
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return losses
