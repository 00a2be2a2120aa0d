"""Training learns, keeps the best epoch, and survives steps that are not finite."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from initbench_hyperrep.augmentation import Erasing
from initbench_hyperrep.losses import Yardstick, explained
from initbench_hyperrep.network import Autoencoder, Sizes
from initbench_hyperrep.tokens import TokenLayer, TokenTable
from initbench_hyperrep.training import Lesson, Progress, Trainer, train
from torch import Tensor

from initbench.api import PluginError

TABLE = TokenTable(
    (TokenLayer("a.weight", (3, 4), ("a.bias",), 1), TokenLayer("b.weight", (2, 3), (), 1))
)
SIZES = Sizes(width=16, feed_forward=16, layers=1, heads=2, latent=4, dropout=0.0)
LESSON = Lesson(epochs=25, batch_size=16, rate=1e-2, balance=0.95, head=(1, 8, 4))


def vectors(count: int, seed: int = 0) -> Tensor:
    """Vectors of two factors."""
    draws = torch.Generator().manual_seed(seed)
    basis = torch.randn(2, TABLE.size, generator=torch.Generator().manual_seed(9))
    return torch.randn(count, 2, generator=draws) @ basis


def learnt(lesson: Lesson, rows: Tensor, validation: Tensor) -> tuple[Autoencoder, Progress]:
    yardstick = Yardstick.of(TABLE, rows, layer_normalised=True)
    draws = torch.Generator().manual_seed(0)
    return train(
        TABLE, SIZES, lesson, (rows, validation), yardstick, [0], Erasing(0.2), draws, "cpu"
    )


def trainer(lesson: Lesson = LESSON) -> Trainer:
    yardstick = Yardstick.of(TABLE, vectors(32), layer_normalised=True)
    torch.manual_seed(0)
    return Trainer(TABLE, SIZES, lesson, yardstick, [0], Erasing(), 0, "cpu")


def test_it_learns_what_networks_have_in_common() -> None:
    rows, others = vectors(96), vectors(32, seed=1)
    autoencoder, progress = learnt(LESSON, rows, others)
    assert progress.losses[-1] < 0.5 * progress.losses[0]
    yardstick = Yardstick.of(TABLE, rows, layer_normalised=True)
    with torch.no_grad():
        found = explained(yardstick, autoencoder(others)[1], others, rows.mean(0))
    assert float(found[-1]) > 0.5


def test_the_best_epoch_is_kept() -> None:
    rows, others = vectors(32), vectors(16, seed=1)
    autoencoder, progress = learnt(replace(LESSON, epochs=6, rate=0.05), rows, others)
    yardstick = Yardstick.of(TABLE, rows, layer_normalised=True)
    with torch.no_grad():
        found = float(yardstick.loss(autoencoder(others)[1], others))
    assert found == pytest.approx(min(progress.validation), rel=1e-4)
    assert progress.validation[progress.kept_epoch - 1] == min(progress.validation)


def test_the_last_epoch_is_kept_on_request() -> None:
    lesson = replace(LESSON, epochs=6, rate=1e-12, patience=2, keep="last")
    _, progress = learnt(lesson, vectors(32), vectors(16, seed=1))
    assert progress.kept_epoch == len(progress.losses) == 6


def test_it_ends_where_validation_no_longer_improves() -> None:
    lesson = replace(LESSON, epochs=30, rate=1e-12, patience=3)
    _, progress = learnt(lesson, vectors(32), vectors(16, seed=1))
    assert len(progress.losses) < 30
    assert len(progress.losses) - progress.kept_epoch == 3


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    one = trainer()
    before = {name: x.clone() for name, x in one.autoencoder.state_dict().items()}
    rows = vectors(16)
    rows[3, 5] = math.inf
    assert one.step(rows) == math.inf
    assert all(torch.equal(x, before[n]) for n, x in one.autoencoder.state_dict().items())
    assert math.isfinite(one.step(vectors(16)))


def test_steps_left_out_are_counted() -> None:
    rows = vectors(32)
    rows[0, 0] = math.inf
    _, progress = learnt_with(rows)
    assert progress.left_out == 6


def learnt_with(rows: Tensor) -> tuple[Autoencoder, Progress]:
    lesson = replace(LESSON, epochs=6, batch_size=16)
    yardstick = Yardstick.of(TABLE, vectors(32), layer_normalised=True)
    draws = torch.Generator().manual_seed(0)
    return train(
        TABLE, SIZES, lesson, (rows, vectors(8)), yardstick, [0], Erasing(0.0), draws, "cpu"
    )


def test_a_training_without_any_finite_loss_is_an_error() -> None:
    with pytest.raises(PluginError, match="never had a finite validation loss"):
        learnt(replace(LESSON, epochs=2), vectors(32), torch.full((4, TABLE.size), math.nan))


def test_a_training_draws_from_its_generator_alone() -> None:
    torch.manual_seed(1)
    first = learnt(replace(LESSON, epochs=2), vectors(32), vectors(8))[1]
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = learnt(replace(LESSON, epochs=2), vectors(32), vectors(8))[1]
    assert first.losses == second.losses
    torch.manual_seed(1)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_learns_too() -> None:
    rows, others = vectors(96), vectors(32, seed=1)
    yardstick = Yardstick.of(TABLE, rows, layer_normalised=True)
    draws = torch.Generator().manual_seed(0)
    data, erasing = (rows, others), Erasing(0.2)
    found = train(TABLE, SIZES, LESSON, data, yardstick, [0], erasing, draws, "cuda")[1]
    assert found.left_out == 0
    assert found.losses[-1] < 0.5 * found.losses[0]


def test_the_contrast_of_the_code_is_another_loss() -> None:
    rows = vectors(16)
    losses = [
        float(trainer(replace(LESSON, contrast=kind)).loss(rows).detach())  # type: ignore[arg-type]
        for kind in ("nt_xent", "positives_only")
    ]
    assert losses[0] != losses[1]
