"""Random streams: the one place where seeds become generators.

From a trial's seed come independent streams, one a purpose. No stream depends on the initialiser,
the executor or the position in a stack, so trial k of every initialiser sees the same batches and
paired tests are valid.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Stream(StrEnum):
    """What the random numbers are for."""

    BUILD = "build"  # parameters that the initialiser leaves alone
    WEIGHTS = "weights"  # the generator handed to the initialiser
    CALIBRATION = "calibration"  # the batch shown to data-dependent initialisers
    ORDER = "order"  # the order of training images, one sub-stream an epoch
    AUGMENTATION = "augmentation"  # crops and flips, one sub-stream an epoch
    TRAINING = "training"  # whatever else a network draws while it trains (dropout)
    FIT = "fit"  # fitting a generative initialiser
    PROBE = "probe"  # the training images that a probe looks at
    WATCH = "watch"  # the validation images that watched layers see; of seed 0, for all trials
    ENSEMBLES = "ensembles"  # which members form an ensemble; of seed 0, shared by all cells


def stream_seed(seed: int, stream: Stream, index: int = 0) -> int:
    """Return the 63-bit seed of sub-stream `index` of a stream of the trial seed `seed`."""
    text = f"initbench/{seed}/{stream.value}/{index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(seed: int, stream: Stream, index: int = 0) -> torch.Generator:
    """Return a fresh CPU generator at the start of a sub-stream."""
    import torch

    return torch.Generator().manual_seed(stream_seed(seed, stream, index))
