"""How many images a second a graph hypernetwork learns from, and how fast a plain loop would be.

    python -m initbench_ghn.bench [--rounds 3] [--images 64] [--noise] [--device cpu]

Both sides take the same steps on ResNet-32, 44 and 56, in turns: ours predicts all of them as one
batch; the loop goes through one architecture, and for a Noise GHN one draw, after another. The
networks themselves run one by one on both sides. An image counts once a step.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional

from initbench_ghn.architecture import Architecture, Noise
from initbench_ghn.architectures import Architectures
from initbench_ghn.network import GHN
from initbench_ghn.training import CLIP, Lesson, Trainer

DEPTHS = (32, 44, 56)


def made(noise: bool, images: int, device: str) -> Trainer:
    """Return a trainer of the published size."""
    torch.manual_seed(0)
    architecture = Architecture(decoder_shape=(64, 64, 3, 3), noise=Noise() if noise else None)
    networks = Architectures(DEPTHS, 0, 3, 10, average_pool=False)
    lesson = Lesson(epochs=1, batch_size=images)
    return Trainer(GHN(architecture).to(device), networks, lesson, torch.Generator().manual_seed(0))


def batched(trainer: Trainer, images: Tensor, labels: Tensor) -> None:
    """Take a step of ours."""
    trainer.step(images, labels)


def looped(trainer: Trainer, images: Tensor, labels: Tensor) -> None:
    """Take the same step, one architecture and one draw after another."""
    ghn, passes = trainer.ghn, len(DEPTHS) * trainer.draws
    trainer.adam.zero_grad()
    both: list[list[Tensor]] = []
    loss = torch.zeros((), device=images.device)
    for traced in trainer.group(range(len(DEPTHS)), images):
        logits = []
        for _ in range(trainer.draws):
            noise = ghn.draw_noise(traced.graph, trainer.generator)
            (tiles,) = ghn([traced.graph], None if noise is None else [noise])
            logits.append(traced(tiles, images))
            loss = loss + functional.cross_entropy(logits[-1], labels) / passes
        both.append(logits)
    if trainer.draws == 2:
        first, second = (torch.stack(x).flatten() for x in zip(*both, strict=True))
        loss = loss + functional.cosine_similarity(first, second, 0)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(ghn.parameters(), CLIP)
    trainer.adam.step()


def seconds(side: Callable[[], None], device: str) -> float:
    """Return how long a step takes."""
    started = time.perf_counter()
    side()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Time both sides in turns and report medians."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="Train a GHN in batches and in a plain loop.")
    parser.add_argument("--rounds", type=int, default=3, help="of both sides, in turns")
    parser.add_argument("--images", type=int, default=64, help="of a step (default: 64)")
    parser.add_argument("--noise", action="store_true", help="a Noise GHN: two draws")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    options = parser.parse_args()
    images = torch.randn(options.images, 3, 32, 32).to(options.device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (options.images,)).to(options.device)
    times: dict[str, list[float]] = {}
    sides = {"one batch of architectures": batched, "loop over architectures": looped}
    trainers = {name: made(options.noise, options.images, options.device) for name in sides}
    for turn in range(options.rounds + 1):
        for name, side in sides.items():
            trainer = trainers[name]
            spent = seconds(lambda t=trainer, s=side: s(t, images, labels), options.device)  # type: ignore[misc]
            if turn:  # the first one warms up
                times.setdefault(name, []).append(spent)
    ours = times["one batch of architectures"]
    for name, found in times.items():
        ratio = median(x / y for x, y in zip(found, ours, strict=True))
        speed = options.images / median(found)
        logging.info("%-28s %8.1f images/s  %5.2f x the time of ours", name, speed, ratio)


if __name__ == "__main__":
    main()
