"""The recipes that suites can name: each one the procedure of a publication, or our own.

Where a paper and its authors' code disagree, the plain name is the one to use, and the other one
ends in `_paper` or `_code`. Data sets and models belong to the suite, not to the recipe.
docs/recipes.md has them all in a table, with what was decided where the publication is silent.
"""

from __future__ import annotations

from typing import Any

_Tree = dict[str, Any]

# Harder et al., 2023 (arXiv 2310.16695): ResNet-20 on three data sets, no augmentation. The
# supplement divides the rate by five, then by two; the authors' code halves it first, as the main
# text has it for PCam Small. A drop "after epoch 80" takes effect with the 81st.
_HARDER_2023: _Tree = {
    "optimiser": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4},
    "batch_size": 128,
}
_CODE_DROPS = [0.5, 0.2]
_PAPER_DROPS = [0.2, 0.5]


def _harder2023_cifar10(factors: list[float]) -> _Tree:
    return {
        **_HARDER_2023,
        "schedule": {"name": "step", "milestones": [80, 100], "factors": factors},
        "epochs": 120,
    }


def _harder2023_pcam(factors: list[float]) -> _Tree:
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


def _schuerholt2022(lr: float, weight_decay: float) -> _Tree:
    # Schürholt et al., 2022, Hyper-Representations for Pre-Training and Transfer Learning
    # (arXiv 2207.10951): the model zoos. The batch size is that of the authors' code.
    return {
        "optimiser": {"name": "adam", "lr": lr, "weight_decay": weight_decay},
        "epochs": 50,
        "batch_size": 10,
    }


def _knyazev2022(optimiser: _Tree, batch_size: int) -> _Tree:
    # Knyazev, 2022, Pretraining a Neural Network before Knowing Its Architecture (arXiv
    # 2207.10049): fine-tuning on 1,000 images of CIFAR-10, at the values that the authors chose.
    # Clipping, augmentation, and a cosine that goes by epoch are those of their code.
    return {
        "optimiser": optimiser,
        "schedule": {"name": "cosine", "unit": "epoch"},
        "epochs": 300,
        "batch_size": batch_size,
        "augmentation": {"crop_padding": 4, "flip": True},
        "clip_norm": 5.0,
    }


def _chang2020_mnist(lr: float) -> _Tree:
    # Chang et al., 2020, Principled Weight Initialization for Hypernetworks (ICLR), appendix B.1.
    return {"optimiser": {"name": "sgd", "lr": lr}, "epochs": 30, "batch_size": 10}


RECIPES: dict[str, _Tree] = {
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
    "schuerholt2022_usps_code": _schuerholt2022(3e-4, 1e-3),
    "schuerholt2022_cifar10": _schuerholt2022(1e-4, 1e-2),
    "schuerholt2022_stl10": _schuerholt2022(1e-4, 1e-3),
    "knyazev2022_resnet50": _knyazev2022(
        {"name": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.01}, batch_size=96
    ),
    "knyazev2022_convnext_base": _knyazev2022(
        {"name": "adamw", "lr": 0.001, "weight_decay": 0.1}, batch_size=48
    ),
    "chang2020_mnist": _chang2020_mnist(0.01),
    "chang2020_mnist_hypernet": _chang2020_mnist(0.0005),
    # Appendix B.2: three tasks of 100 inputs, 6,000 batches each, of 32 without the rest of four.
    # The rate is the best one for all but Kaiming fan-in, see the suite `hyperfan_continual`.
    "chang2020_continual": {
        "optimiser": {"name": "sgd", "lr": 0.001},
        "epochs": 2000,
        "batch_size": 32,
        "drop_last": True,
        "evaluation": {"every": 100, "unit": "batch"},
        "continual": {"tasks": 3, "output_regulariser": 0.005},
    },
    # Appendix B.3: All-CNN-C.
    "chang2020_cifar10": {
        "optimiser": {"name": "sgd", "lr": 0.0005},
        "schedule": {"name": "step", "milestones": [350, 450], "factors": [0.1, 0.1]},
        "epochs": 500,
        "batch_size": 100,
    },
    # Appendix B.4: MobileNet on ImageNet, 5,005 batches an epoch.
    "chang2020_mobilenet": {
        "optimiser": {"name": "sgd", "lr": 0.1, "weight_decay": 5e-4},
        "epochs": 25,
        "batch_size": 256,
    },
}
"""Recipes by name; each validates as a `Recipe`."""
