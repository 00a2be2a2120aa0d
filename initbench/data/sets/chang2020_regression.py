"""Three regressions of one variable, one after another: Chang et al. 2020, appendix B.2.

    task 1: y = x + 3       on [-4, -2]
    task 2: y = 2 x^2 - 1   on [-1, 1]
    task 3: y = (x - 3)^3   on [2, 4]

For each, 100 training inputs drawn uniformly, with normal noise of standard deviation 0.05 on their
outputs, and 50 test inputs on an even grid, without noise. Ranges, numbers and the seed, 42 for
each task, are those of the code that the paper builds on (hypnettorch, Apache-2.0); nothing is
downloaded. NumPy's legacy generator never changes its stream, so the numbers are the same anywhere.

Deviation: neither paper nor code has validation inputs. Here they are the 50 middles between the
points of a grid of 51, without noise.

Inputs have two channels of one number each: x and the number of the task, from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from initbench.data.dataset import DataSet, ImageSplits, Split, SplitName
from initbench.plugin.initialiser import Citation, Config

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

SEED = 42
NOISE = 0.05
SIZES: Mapping[SplitName, int] = {"train": 100, "validation": 50, "test": 50}


@dataclass(frozen=True)
class Function:
    """A function on an interval."""

    low: float
    high: float
    at: Callable[[Numbers], Numbers]

    def grid(self, points: int) -> Numbers:
        """Return evenly spaced inputs, both ends included."""
        import numpy as np

        return np.linspace(self.low, self.high, points)


FUNCTIONS = (
    Function(-4, -2, lambda x: x + 3),
    Function(-1, 1, lambda x: 2 * x**2 - 1),
    Function(2, 4, lambda x: (x - 3) ** 3),
)


class Chang2020Regression(DataSet[Config]):
    """A line, a parabola and a cubic, to be learnt one after another without forgetting."""

    name = "chang2020_regression"
    summary = "three regressions of one variable, to be learnt one after another"
    citation = Citation(
        "Chang, Flokas, Lipson: Principled Weight Initialization for Hypernetworks. ICLR 2020",
        "https://arxiv.org/abs/2312.08399",
    )
    licence = "Apache-2.0"
    task = "regression"
    tasks = len(FUNCTIONS)
    classes = 1
    channels = 2
    native_size = 1
    version = "1"

    def split_sizes(self) -> Mapping[SplitName, int]:
        return {name: self.tasks * count for name, count in SIZES.items()}

    def parts(self) -> Mapping[str, slice]:
        count = SIZES["test"]
        return {f"task_{k + 1}": slice(k * count, (k + 1) * count) for k in range(self.tasks)}

    def load(self, root: Path | None) -> ImageSplits:
        """Draw the training inputs and compute the rest; `root` is not needed."""
        drawn: dict[SplitName, list[tuple[Numbers, Numbers]]] = {name: [] for name in SIZES}
        for function in FUNCTIONS:
            middles = function.grid(SIZES["validation"] + 1)
            middles = (middles[1:] + middles[:-1]) / 2
            tested = function.grid(SIZES["test"])
            drawn["train"].append(_noisy(function))
            drawn["validation"].append((middles, function.at(middles)))
            drawn["test"].append((tested, function.at(tested)))
        sizes = self.split_sizes()
        return ImageSplits(
            train=_split(drawn["train"], 0),
            validation=_split(drawn["validation"], sizes["train"]),
            test=_split(drawn["test"], sizes["train"] + sizes["validation"]),
            classes=self.classes,
            mean=(0.0, 0.0),
            std=(1.0, 1.0),
        )


def _noisy(function: Function) -> tuple[Numbers, Numbers]:
    """Return training inputs and outputs, drawn in the order of the authors' code."""
    import numpy as np

    draws = np.random.RandomState(SEED)  # the stream that the authors drew from
    inputs = draws.uniform(function.low, function.high, SIZES["train"])
    return inputs, function.at(inputs) + draws.normal(0, NOISE, SIZES["train"])


def _split(tasks: list[tuple[Numbers, Numbers]], first_id: int) -> Split:
    """Return the inputs and outputs of all tasks, one after another, as a split."""
    import numpy as np
    import torch

    inputs = np.concatenate([x for x, _ in tasks])
    numbers = np.repeat(np.arange(len(tasks)), [len(x) for x, _ in tasks])
    labels = np.concatenate([y for _, y in tasks])
    return Split(
        images=torch.from_numpy(np.stack([inputs, numbers], 1)).float()[..., None, None],
        labels=torch.from_numpy(labels).float()[:, None],
        ids=torch.arange(first_id, first_id + len(inputs)),
    )
