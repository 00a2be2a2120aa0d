"""The recipes that suites can name: each one the procedure of a publication, or our own.

Where a paper and its authors' code disagree, the plain name follows the code and `_paper` the
paper. Data sets and models belong to the suite, not to the recipe.
"""

from __future__ import annotations

from typing import Any

# Harder et al., 2023 (arXiv 2310.16695): ResNet-20 on three data sets, no augmentation. The
# supplement divides the rate by five, then by two; the authors' code halves it first, as the main
# text has it for PCam Small. A drop "after epoch 80" takes effect with the 81st.
_HARDER_2023 = {
    "optimiser": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
    "batch_size": 128,
}
_CODE_DROPS = [0.5, 0.2]
_PAPER_DROPS = [0.2, 0.5]


def _harder2023_cifar10(factors: list[float]) -> dict[str, Any]:
    return {
        **_HARDER_2023,
        "schedule": {"name": "step", "milestones": [80, 100], "factors": factors},
        "epochs": 120,
    }


def _harder2023_pcam(factors: list[float]) -> dict[str, Any]:
    return {
        **_HARDER_2023,
        "schedule": {
            "name": "step",
            "milestones": [7200, 8400],
            "factors": factors,
            "unit": "batch",
        },
        "epochs": 10,
        "evaluation": {"every": 300, "unit": "batch"},
    }


def _schuerholt2022(lr: float, weight_decay: float) -> dict[str, Any]:
    # Schürholt et al., 2022, Hyper-Representations for Pre-Training and Transfer Learning
    # (arXiv 2207.10951): the model zoos. The batch size is that of the authors' code.
    return {
        "optimiser": {"name": "adam", "lr": lr, "weight_decay": weight_decay},
        "epochs": 50,
        "batch_size": 10,
    }


RECIPES: dict[str, dict[str, Any]] = {
    # Ours: the zoo CNN on digits in a second or two on one CPU core, to 0.94..0.97 test accuracy.
    "digits_quick": {
        "optimiser": {"name": "adam", "lr": 0.01},
        "schedule": {"name": "cosine", "final": 0.0},
        "epochs": 10,
        "batch_size": 32,
    },
    "harder2023_cifar10": _harder2023_cifar10(_CODE_DROPS),
    "harder2023_cifar10_paper": _harder2023_cifar10(_PAPER_DROPS),
    "harder2023_pcam": _harder2023_pcam(_CODE_DROPS),
    "harder2023_pcam_paper": _harder2023_pcam(_PAPER_DROPS),
    "harder2023_pcam_small": {
        **_HARDER_2023,
        "schedule": {"name": "step", "milestones": [20, 30], "factors": _CODE_DROPS},
        "epochs": 40,
    },
    "schuerholt2022_mnist": _schuerholt2022(3e-4, 0.0),
    "schuerholt2022_svhn": _schuerholt2022(3e-3, 0.0),
    "schuerholt2022_usps": _schuerholt2022(1e-4, 1e-3),
    "schuerholt2022_cifar10": _schuerholt2022(1e-4, 1e-2),
    "schuerholt2022_stl10": _schuerholt2022(1e-4, 1e-3),
}
"""Recipes by name; each validates as a `Recipe`."""
