"""Small, realistic inputs for tests: a record, a manifest, the results of a suite."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, median, quantiles, stdev
from typing import Any, get_args

from initbench.results import Comparison, CurveBand, DatasetFacts, Row, SuiteResults, Verdict
from initbench.store.identity import digest
from initbench.store.manifest import InitialiserNote, MeasureNote, SuiteManifest, TrialEntry
from initbench.store.record import Cost, CoverageRow, Curve, Record, Streams, TrialStatus

INITIALISERS = (
    "default",
    "xavier_uniform",
    "xavier_normal",
    "he_uniform",
    "he",
    "he_fan_out",
    "lecun",
    "orthogonal",
    "delta_orthogonal",
    "truncated_normal",
    "lsuv",
    "slice_vae",
)


def record(
    *,
    initialiser: str = "he",
    model: str = "zoo_cnn",
    dataset: str = "digits",
    seed: int = 0,
    status: TrialStatus = TrialStatus.DONE,
    accuracy: float = 0.9,
    **fields: Any,
) -> Record:
    """One trial's record; `fields` replace or add fields of `Record`."""
    identity = {
        "kind": "trial",
        "initialiser": {"name": initialiser},
        "model": {"name": model},
        "data": {"name": dataset},
        "seed": seed,
    }
    steps = [0, 11, 22, 33]
    curve = [0.1, 0.6 * accuracy, 0.9 * accuracy, accuracy]
    values: dict[str, Any] = {
        "key": digest(identity),
        "identity": identity,
        "status": status,
        "curves": {
            "validation_accuracy": Curve(steps=steps, epochs=[0, 1, 2, 3], values=list(curve)),
            "validation_loss": Curve(steps=steps, epochs=[0, 1, 2, 3], values=[2.3, 1.2, 0.6, 0.4]),
            "train_loss": Curve(steps=steps, epochs=[0, 1, 2, 3], values=[2.3, 1.1, 0.5, 0.3]),
        },
        "final": {
            "test_accuracy.best": accuracy,
            "test_accuracy.last": accuracy,
            "test_accuracy.initial": 0.1,
            "test_loss.best": 0.4,
            "validation_accuracy.best": accuracy,
        },
        "best_index": 3,
        "coverage": [
            CoverageRow(
                parameter="weight", treatment="generated", elements=90, reason="normal, 2 / fan-in"
            ),
            CoverageRow(parameter="bias", treatment="rule", elements=10, reason="zero"),
        ],
        "streams": Streams(initial_weights=digest([initialiser, seed]), batch_order=digest(seed)),
        "cost": Cost(
            wall_seconds=1.5,
            device_seconds=1.4,
            peak_memory_bytes=200_000_000,
            images_seen=3300,
            steps=33,
            exclusive=True,
        ),
        "environment": {"python": "3.11.9", "torch": "2.11.0", "device": "cpu"},
        "classes": 10,
        "budget_steps": 33,
    }
    return Record(**{**values, **fields})


def manifest(
    *,
    initialisers: Sequence[str] = ("default", "he"),
    seeds: Sequence[int] = (0, 1, 2),
    model: str = "zoo_cnn",
    dataset: str = "digits",
    **fields: Any,
) -> SuiteManifest:
    """The manifest of a suite whose trials have the keys of `record`'s records."""
    values: dict[str, Any] = {
        "name": "quickstart",
        "profile": None,
        "reduced": False,
        "title": "Classical initialisers on real digits",
        "question": "Does the rule that sets the starting weights matter for a small network?",
        "citation": None,
        "command": "initbench run quickstart",
        "source": "title: Classical initialisers on real digits\n",
        "overrides": [],
        "seeds": list(seeds),
        "reference": initialisers[0],
        "test": "paired_t",
        "correction": "holm",
        "confidence": 0.95,
        "margins": {"test_accuracy": 0.005},
        "measures": [MeasureNote(name="test_accuracy", config={}, label="test_accuracy")],
        "initialisers": [
            InitialiserNote(
                label=name,
                name=name,
                config={},
                scope="pointwise",
                summary=f"The {name} rule.",
                citation="He et al., 2015",
                url="https://arxiv.org/abs/1502.01852",
                distribution="initbench",
                distribution_version="0.1.0",
            )
            for name in initialisers
        ],
        "trials": [
            TrialEntry(
                key=record(initialiser=name, model=model, dataset=dataset, seed=seed).key,
                initialiser=name,
                model=model,
                dataset=dataset,
                seed=seed,
            )
            for name in initialisers
            for seed in seeds
        ],
    }
    return SuiteManifest(**{**values, **fields})


@dataclass(frozen=True)
class _MeasureShape:
    label: str
    unit: str
    direction: str
    centre: float
    spread: float  # of the initialisers' true means
    noise: float
    margin: float


_MEASURES = (
    _MeasureShape("test_accuracy", "fraction", "higher", 0.955, 0.012, 0.006, 0.005),
    _MeasureShape("validation_loss", "nats", "lower", 0.18, 0.03, 0.02, 0.01),
    _MeasureShape("steps_to_0.9", "steps", "lower", 420.0, 120.0, 40.0, 25.0),
)


def results(
    *,
    initialisers: Sequence[str] = INITIALISERS,
    models: Sequence[str] = ("zoo_cnn",),
    datasets: Sequence[str] = ("digits",),
    seeds: int = 10,
    draw: int = 0,
    **fields: Any,
) -> SuiteResults:
    """Results of a made-up suite with plausible numbers, different for each `draw`.

    The last initialiser but one has a trial that diverged; steps to a threshold are missed by the
    last. Intervals and p-values use the normal approximation. `fields` replace those of the result.
    """
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    curves: list[CurveBand] = []
    cells = [(model, dataset) for model in models for dataset in datasets]
    reference = initialisers[0] if initialisers else "default"
    for model, dataset in cells:
        chance = random.Random(f"{draw}/{model}/{dataset}")
        quality = {name: chance.gauss(0, 1) for name in initialisers}
        for measure in _MEASURES:
            sample = _sample(measure, quality, seeds, chance)
            rows += [_row(name, model, dataset, measure, sample[name]) for name in initialisers]
            comparisons += [
                _comparison(name, reference, (model, dataset), measure, sample)
                for name in initialisers
                if name != reference
            ]
        curves += [_band(name, model, dataset, quality[name], seeds) for name in initialisers]
    values: dict[str, Any] = {
        "suite": "quickstart",
        "profile": None,
        "reduced": False,
        "title": "Classical initialisers on real digits",
        "question": "Does the rule that sets the starting weights matter for a small network?",
        "citation": "Glorot & Bengio, 2010; He et al., 2015",
        "reference": reference,
        "test": "paired_t",
        "correction": "holm",
        "confidence": 0.95,
        "command": "initbench run quickstart",
        "rows": rows,
        "comparisons": comparisons,
        "curves": curves,
        "coverage": [
            _coverage(i, name, *cell) for cell in cells for i, name in enumerate(initialisers)
        ],
        "cost": [_cost(i, name, *cell) for cell in cells for i, name in enumerate(initialisers)],
        "failures": _failures(initialisers, cells, seeds),
        "citations": {name: _citation(name) for name in initialisers},
        "datasets": {dataset: _dataset(dataset) for dataset in dict.fromkeys(d for _, d in cells)},
        "trials": {
            digest([draw, name, *cell, seed]): "done"
            for cell in cells
            for name in initialisers
            for seed in range(seeds)
        },
        "environment": {
            "initbench": {"0.1.0": len(cells) * len(initialisers) * seeds},
            "python": {"3.11.9": len(cells) * len(initialisers) * seeds},
            "torch": {"2.11.0+cpu": len(cells) * len(initialisers) * seeds},
            "device": {"cpu": len(cells) * len(initialisers) * seeds},
        },
        "margins": {measure.label: measure.margin for measure in _MEASURES},
    }
    return SuiteResults(**{**values, **fields})


def verdicts() -> tuple[Verdict, ...]:
    """Every verdict there is."""
    return get_args(Verdict)


def _sample(
    measure: _MeasureShape, quality: dict[str, float], seeds: int, chance: random.Random
) -> dict[str, dict[int, float]]:
    sign = 1 if measure.direction == "higher" else -1
    shared = [chance.gauss(0, measure.noise) for _ in range(seeds)]
    sample = {
        name: {
            seed: measure.centre
            + sign * measure.spread * q
            + shared[seed]
            + chance.gauss(0, measure.noise / 2)
            for seed in range(seeds)
        }
        for name, q in quality.items()
    }
    if measure.unit == "steps" and sample:
        last = list(sample)[-1]
        sample[last] = {s: math.inf if s % 3 == 0 else v for s, v in sample[last].items()}
    return sample


def _row(
    name: str, model: str, dataset: str, measure: _MeasureShape, values: dict[int, float]
) -> Row:
    numbers = list(values.values())
    finite = bool(numbers) and all(math.isfinite(x) for x in numbers)
    mean = fmean(numbers) if finite else None
    std = stdev(numbers) if finite and len(numbers) > 1 else None
    half = 1.96 * std / math.sqrt(len(numbers)) if std is not None else None
    diverged = name == "lsuv"
    return Row(
        initialiser=name,
        model=model,
        dataset=dataset,
        measure=measure.label,
        unit=measure.unit,
        direction=measure.direction,
        n=len(numbers),
        failed=int(diverged and bool(numbers)),
        missing=0,
        mean=mean,
        std=std,
        low=mean - half if mean is not None and half is not None else None,
        high=mean + half if mean is not None and half is not None else None,
        median=median(numbers) if numbers else None,
        values=values,
    )


def _comparison(
    name: str,
    reference: str,
    cell: tuple[str, str],
    measure: _MeasureShape,
    sample: dict[str, dict[int, float]],
) -> Comparison:
    pairs = [x - y for x, y in zip(sample[name].values(), sample[reference].values(), strict=True)]
    common: dict[str, Any] = {
        "measure": measure.label,
        "model": cell[0],
        "dataset": cell[1],
        "initialiser": name,
        "reference": reference,
        "test": "paired_t",
        "n": len(pairs),
    }
    if len(pairs) < 2 or not all(math.isfinite(d) for d in pairs):
        return Comparison(
            **common,
            difference=None,
            low=None,
            high=None,
            p=None,
            p_corrected=None,
            effect=None,
            verdict="undecided",
            more_seeds=None,
            note="not defined: the target was missed",
        )
    mean, std = fmean(pairs), stdev(pairs)
    error = std / math.sqrt(len(pairs))
    p = 2 * NormalDist().cdf(-abs(mean) / error)
    p_corrected = min(1.0, p * (len(sample) - 1))
    low, high = mean - 1.96 * error, mean + 1.96 * error
    verdict: Verdict = "undecided"
    if p_corrected < 0.05:
        verdict = "better" if (mean > 0) == (measure.direction == "higher") else "worse"
    elif max(abs(low), abs(high)) < measure.margin:
        verdict = "equivalent"
    return Comparison(
        **common,
        difference=mean,
        low=low,
        high=high,
        p=p,
        p_corrected=p_corrected,
        effect=mean / std,
        verdict=verdict,
        more_seeds=int((3 * std / mean) ** 2) + 1 if verdict == "undecided" else None,
    )


def _band(name: str, model: str, dataset: str, quality: float, seeds: int) -> CurveBand:
    chance = random.Random(f"{name}/{model}/{dataset}")
    steps = list(range(0, 1101, 44))
    rate = 170 * math.exp(-0.3 * quality)
    trials = [
        [
            0.1
            + (0.86 + 0.01 * quality) * (1 - math.exp(-step / (rate * factor)))
            + chance.gauss(0, 0.006)
            for step in steps
        ]
        for factor in (chance.uniform(0.85, 1.2) for _ in range(max(seeds, 2)))
    ]
    columns = list(zip(*trials, strict=True))
    quartiles = [quantiles(column, n=4) for column in columns]
    return CurveBand(
        initialiser=name,
        model=model,
        dataset=dataset,
        steps=steps,
        mean=[fmean(column) for column in columns],
        low=[q[0] for q in quartiles],
        high=[q[2] for q in quartiles],
        n=seeds,
    )


def _coverage(index: int, name: str, model: str, dataset: str) -> dict[str, Any]:
    cell = {"initialiser": name, "model": model, "dataset": dataset}
    if name == "default":
        return {**cell, "generated": 0.0, "rule": 0.0, "fallback": 0.0, "untouched": 1.0}
    fallback = 0.11 if index % 4 == 3 else 0.0
    return {
        **cell,
        "generated": 0.979 - fallback,
        "rule": 0.021,
        "fallback": fallback,
        "untouched": 0.0,
    }


def _cost(index: int, name: str, model: str, dataset: str) -> dict[str, Any]:
    learnt = name == "slice_vae"
    return {
        "initialiser": name,
        "model": model,
        "dataset": dataset,
        "wall_seconds": 1.9 + 0.05 * index,
        "device_seconds": 1.8 + 0.05 * index,
        "exclusive": True,
        "initialise_seconds": 0.02,
        "fit_seconds": 84.0 if learnt else None,
        "zoo_seconds": 5400.0 if learnt else None,
        "break_even": 1210 if learnt else None,
    }


def _failures(
    initialisers: Sequence[str], cells: Sequence[tuple[str, str]], seeds: int
) -> list[dict[str, Any]]:
    if "lsuv" not in initialisers or not seeds:
        return []
    return [
        {
            "trial": digest(["lsuv", *cell, 3]),
            "initialiser": "lsuv",
            "model": cell[0],
            "dataset": cell[1],
            "seed": 3,
            "status": "diverged",
            "message": "validation loss is NaN after 264 steps (epoch 6)",
        }
        for cell in cells
    ]


_CITATIONS = {
    "xavier": ("Glorot & Bengio (2010). Understanding the difficulty of training deep feedforward "
               "neural networks. AISTATS.", "https://proceedings.mlr.press/v9/glorot10a.html"),
    "he": ("He, Zhang, Ren & Sun (2015). Delving deep into rectifiers. ICCV.",
           "https://arxiv.org/abs/1502.01852"),
    "orthogonal": ("Saxe, McClelland & Ganguli (2014). Exact solutions to the nonlinear dynamics "
                   "of learning in deep linear neural networks. ICLR.",
                   "https://arxiv.org/abs/1312.6120"),
    "lsuv": ("Mishkin & Matas (2016). All you need is a good init. ICLR.",
             "https://arxiv.org/abs/1511.06422"),
}  # fmt: skip


def _dataset(name: str) -> DatasetFacts:
    return DatasetFacts(
        summary=f"made-up images called {name}",
        citation=f"The makers of {name}, 2026.",
        url="https://example.org/data",
        licence="CC BY 4.0",
        fingerprint=digest(name),
        images={"train": 1197, "validation": 300, "test": 300},
        marks=[],
    )


def _citation(name: str) -> dict[str, str | None]:
    text, url = _CITATIONS.get(name.partition("_")[0], (f"The {name} rule of PyTorch.", None))
    scope = {"lsuv": "local", "slice_vae": "local"}.get(name, "pointwise")
    return {"text": text, "url": url, "scope": scope, "plugin": "initbench", "version": "0.1.0"}
