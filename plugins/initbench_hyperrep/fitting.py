"""Fitting: from a zoo to an artifact, in the order in which things happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import torch
from torch import Tensor

from initbench.api import Artifact, FitInputs, ImageSplits, PluginError, Zoo
from initbench_hyperrep.alignment import Matching
from initbench_hyperrep.augmentation import Erasing, permutable
from initbench_hyperrep.diagnostics import Judge
from initbench_hyperrep.exam import Exam, pixels
from initbench_hyperrep.fitted import Fitted, artifact_of
from initbench_hyperrep.losses import Yardstick
from initbench_hyperrep.network import Autoencoder, Sizes
from initbench_hyperrep.options import HyperRepresentationConfig
from initbench_hyperrep.population import Parts, Population, parts_of
from initbench_hyperrep.prior import fit_prior, ranks
from initbench_hyperrep.sampling import BANDWIDTH, Sampler
from initbench_hyperrep.tokens import TokenTable
from initbench_hyperrep.training import Lesson, Progress, train

JUDGED = 0.3
"""The share of networks, the best, that samples are drawn from to be judged."""

_TRIED = 4  # images on which permutations are tried


def fit(
    config: HyperRepresentationConfig, inputs: FitInputs, zoo: Zoo, splits: ImageSplits
) -> Artifact:
    """Learn the networks of a zoo and judge what was learnt.

    Raises UserError, UnsupportedError or PluginError where the zoo cannot be learnt from.
    """
    if inputs.network is None:
        raise PluginError("a hyper-representation needs a network to try its vectors in")
    table = TokenTable.of(inputs.target.anatomy)
    parts = parts_of(zoo, table, config.kept)
    yardstick = Yardstick.of(table, parts.train.rows, layer_normalised=config.layer_normalised)
    images, _ = pixels(splits.train, splits, _TRIED)
    moved = config.permute or config.align
    movable = permutable(inputs.network, table, images, inputs.generator) if moved else []
    learnt = _aligned(parts, Matching(yardstick, movable)) if config.align else parts
    sizes = _sizes(config)
    autoencoder, progress = train(
        table,
        sizes,
        _lesson(config),
        (learnt.train.rows, learnt.validation.rows),
        yardstick,
        movable if config.permute else [],
        Erasing(config.erase),
        inputs.generator,
        inputs.device,
    )
    autoencoder.cpu()
    fitted = _fitted(config, autoencoder, table, learnt, inputs.generator)
    exam = Exam(inputs.network, table, splits, config.images)
    judge = Judge(autoencoder, yardstick, learnt.train, learnt.test, fitted.latents, exam)
    judgement = judge.judge(_samplers(fitted, config, inputs.generator))
    description = {
        "networks": len(zoo) - parts.dropped,
        "missing": zoo.missing,
        "dropped": parts.dropped,
        "checkpoints": len(parts.train.rows),
        **_moved(config, parts, learnt, yardstick, movable),
        **_trained(progress),
        **judgement.facts,
        "diagnostics": judgement.table,
        "warnings": [*_dropped(parts), *judgement.warnings],
    }
    fitted = replace(fitted, distances=judgement.distances)
    return artifact_of(fitted, sizes, description, judgement.examples)


def _aligned(parts: Parts, matching: Matching) -> Parts:
    """Return all networks in the order that those of the training part agree on."""
    best = int(parts.train.accuracy["validation"].argmax())
    reference = matching.reference(parts.train.rows, best)

    def ordered(part: Population) -> Population:
        return replace(part, rows=matching.aligned(part.rows, reference))

    return replace(
        parts,
        train=ordered(parts.train),
        validation=ordered(parts.validation),
        test=ordered(parts.test),
    )


def _moved(
    config: HyperRepresentationConfig,
    given: Parts,
    learnt: Parts,
    yardstick: Yardstick,
    movable: list[int],
) -> dict[str, Any]:
    """Say whose neurons changed places, and how much closer that has brought the networks."""
    names = [yardstick.table.layers[i].weight for i in movable]
    if not config.align:
        return {"permuted_layers": names}
    before, after = (yardstick.spread(x.train.rows) for x in (given, learnt))
    return {
        "permuted_layers": [],
        "aligned_layers": names,
        "variance_after_alignment": after / before if before else None,
    }


def _sizes(config: HyperRepresentationConfig) -> Sizes:
    chosen = config.sizes
    return Sizes(
        chosen.width,
        chosen.feed_forward,
        chosen.layers,
        chosen.heads,
        chosen.latent,
        config.dropout,
    )


def _samplers(
    fitted: Fitted, config: HyperRepresentationConfig, generator: torch.Generator
) -> dict[str, Callable[[int], Tensor]]:
    """Return each sampler as a function from a count to latents of the best networks."""

    def draw(sampler: Sampler, count: int) -> Tensor:
        return fitted.draw(sampler, count, JUDGED, generator, BANDWIDTH, config.fidelity)

    return {name: partial(draw, name) for name in get_args(Sampler)}


def _lesson(config: HyperRepresentationConfig) -> Lesson:
    chosen = config.sizes
    return Lesson(
        epochs=chosen.training_epochs,
        batch_size=chosen.batch_size,
        rate=chosen.rate,
        balance=config.beta,
        contrast=config.contrast,
        head=chosen.head,
        keep=config.keep,
    )


@torch.no_grad()
def _encoded(autoencoder: Autoencoder, rows: Tensor) -> Tensor:
    return torch.cat([autoencoder.encoder(part) for part in rows.split(100)])


def _fitted(
    config: HyperRepresentationConfig,
    autoencoder: Autoencoder,
    table: TokenTable,
    parts: Parts,
    generator: torch.Generator,
) -> Fitted:
    """Return what samples are drawn with; how far they are from others is not known yet."""
    latents = _encoded(autoencoder, parts.train.rows)
    others = _encoded(autoencoder, parts.validation.rows)
    by = "test" if config.fidelity == "code" else "validation"
    known, held_out = parts.train.accuracy[by], parts.validation.accuracy[by]
    if not bool(known.isfinite().all()):
        raise PluginError("the zoo was not tested, so no networks can be chosen by test accuracy")
    prior = fit_prior(
        (latents, ranks(known)), (others, ranks(held_out)), config.prior_steps, generator
    )
    return Fitted(table, autoencoder.decoder, prior, latents, parts.train.accuracy, distances={})


def _trained(progress: Progress) -> dict[str, float | int]:
    return {
        "training_epochs": len(progress.losses),
        "kept_epoch": progress.kept_epoch,
        "validation_loss": progress.validation[progress.kept_epoch - 1],
        "steps_left_out": progress.left_out,
    }


def _dropped(parts: Parts) -> list[str]:
    if not parts.dropped:
        return []
    return [f"{parts.dropped} networks of the zoo have weights that are NaN or infinite: left out"]
