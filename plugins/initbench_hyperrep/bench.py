"""How many weight vectors a second the autoencoder learns from, beside a straightforward way.

    python -m initbench_hyperrep.bench [--preset small] [--steps 10] [--rounds 3] [--device cpu]

Both sides train the same autoencoder of zoo CNNs by the same steps, in turns. The straightforward
way draws views network by network, by an index for every weight, and embeds token by token.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median

import torch
from torch import Tensor

from initbench_hyperrep.augmentation import ATTEMPTS, Erasing, Views
from initbench_hyperrep.losses import Yardstick
from initbench_hyperrep.network import Encoder, Sizes
from initbench_hyperrep.options import PRESETS
from initbench_hyperrep.tokens import TokenLayer, TokenTable
from initbench_hyperrep.training import Lesson, Trainer

ZOO_CNN = TokenTable(
    (
        TokenLayer("conv1.weight", (8, 1, 5, 5), ("conv1.bias",), 25),
        TokenLayer("conv2.weight", (6, 8, 5, 5), ("conv2.bias",), 25),
        TokenLayer("conv3.weight", (4, 6, 2, 2), ("conv3.bias",), 4),
        TokenLayer("linear1.weight", (20, 36), ("linear1.bias",), 9),
        TokenLayer("linear2.weight", (10, 20), ("linear2.bias",), 1),
    )
)
PERMUTABLE = [0, 1, 2, 3]


def permutation(table: TokenTable, orders: Mapping[int, Tensor]) -> Tensor:
    """Return for every place of a vector which place its number comes from, (size,)."""
    found: list[int] = []
    for i, (layer, start) in enumerate(zip(table.layers, table.starts, strict=True)):
        own = orders.get(i, torch.arange(layer.neurons)).tolist()
        before = orders.get(i - 1, torch.arange(layer.channels)).tolist()
        for neuron in own:
            for channel in before:
                first = start + neuron * layer.fan + channel * layer.kernel
                found += range(first, first + layer.kernel)
        for vector in range(len(layer.vectors)):
            first = start + layer.neurons * (layer.fan + vector)
            found += [first + neuron for neuron in own]
    return torch.tensor(found)


class PlainViews(Views):
    """Draws one view after another."""

    def draw(self, rows: Tensor) -> Tensor:
        return torch.stack([self._erased(self._permuted(row)) for row in rows])

    def _permuted(self, row: Tensor) -> Tensor:
        neurons = {i: self.table.layers[i].neurons for i in self.permutable}
        orders = {i: torch.randperm(count) for i, count in neurons.items()}
        return row[permutation(self.table, orders).to(row.device)]

    def _erased(self, row: Tensor) -> Tensor:
        erasing, size = self.erasing, len(row)
        if float(torch.rand(())) >= erasing.probability:
            return row
        for _ in range(ATTEMPTS):
            share = float(torch.rand(())) * (erasing.longest - erasing.shortest) + erasing.shortest
            length, start = int(share * size), int(torch.randint(size, ()))
            if start + length < size:
                row = row.clone()
                row[start : start + length] = 0
                return row
        return row


class PlainEncoder(Encoder):
    """Embeds one token after another."""

    def embedded(self, rows: Tensor) -> Tensor:
        tokens = []
        places = zip(self.table.layers, self.table.starts, self.embeddings, strict=True)
        for layer, start, embed in places:
            for neuron in range(layer.neurons):
                first = start + neuron * layer.fan
                index = [*range(first, first + layer.fan)]
                vectors = start + layer.neurons * layer.fan + neuron
                index += [vectors + i * layer.neurons for i in range(len(layer.vectors))]
                tokens.append(embed(rows[:, torch.tensor(index, device=rows.device)]))
        return torch.stack(tokens, dim=1)


def trainer(preset: str, device: str, *, plain: bool) -> Trainer:
    """Return one side, with the weights of the other."""
    chosen = PRESETS[preset]
    sizes = Sizes(chosen.width, chosen.feed_forward, chosen.layers, chosen.heads, chosen.latent)
    lesson = Lesson(1, chosen.batch_size, chosen.rate, balance=0.95, head=chosen.head)
    torch.manual_seed(0)
    yardstick = Yardstick(ZOO_CNN, torch.ones(len(ZOO_CNN.layers)))
    made = Trainer(ZOO_CNN, sizes, lesson, yardstick, PERMUTABLE, Erasing(), 0, device)
    if plain:
        views = made.views
        made.views = PlainViews(views.table, views.permutable, views.erasing, views.generator)
        encoder = PlainEncoder(ZOO_CNN, sizes).to(device)
        encoder.load_state_dict(made.autoencoder.encoder.state_dict())
        made.adam.param_groups[0]["params"] += list(encoder.parameters())
        made.autoencoder.encoder = encoder
    return made


def seconds(act: Callable[[], object], count: int, device: str) -> float:
    """Return how long `count` acts take."""
    started = time.perf_counter()
    for _ in range(count):
        act()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Time both sides in turns and report the medians of their ratios."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="Train on weight vectors, two ways.")
    parser.add_argument("--preset", choices=list(PRESETS), default="small")
    parser.add_argument("--steps", type=int, default=10, help="a round (default: 10)")
    parser.add_argument("--rounds", type=int, default=3, help="of each side (default: 3)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    options = parser.parse_args()
    rows = 0.3 * torch.randn(PRESETS[options.preset].batch_size, ZOO_CNN.size)
    rows = rows.to(options.device)
    sides = {
        name: trainer(options.preset, options.device, plain=name == "plain")
        for name in ("batched", "plain")
    }
    acts: dict[str, dict[str, Callable[[], object]]] = {
        "training step": {name: partial(side.step, rows) for name, side in sides.items()},
        "one view": {name: partial(side.views.draw, rows) for name, side in sides.items()},
    }
    for act, both in acts.items():
        times: dict[str, list[float]] = {name: [] for name in both}
        for side in both.values():
            seconds(side, 1, options.device)  # warm up
        for _ in range(options.rounds):
            for name, side in both.items():
                times[name].append(seconds(side, options.steps, options.device))
        ratio = median(x / y for x, y in zip(times["plain"], times["batched"], strict=True))
        speeds = {name: len(rows) * options.steps / median(x) for name, x in times.items()}
        logging.info(
            "%-14s %9.0f weight vectors a second, %9.0f straightforward: %5.2f times as many",
            act, speeds["batched"], speeds["plain"], ratio,
        )  # fmt: skip


if __name__ == "__main__":
    main()
