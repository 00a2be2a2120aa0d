"""What the harness itself provides: names only, so that listing imports no model and no measure."""

from __future__ import annotations

from initbench.plugin.hooks import Kind
from initbench.training.recipes import RECIPES

BUILTIN: dict[Kind, dict[str, str]] = {
    Kind.MODEL: {
        "cifar_resnet": "initbench.models.cifar_resnet:CifarResNet",
        "mlp": "initbench.models.mlp:MLP",
        "zoo_cnn": "initbench.models.zoo_cnn:ZooCNN",
    },
    Kind.DATASET: {
        "digits": "initbench.data.digits:Digits",
    },
    Kind.RECIPE: {name: f"initbench.training.recipes:RECIPES.{name}" for name in RECIPES},
    Kind.MEASURE: {
        "area_under_curve": "initbench.measures.area_under_curve:AreaUnderCurve",
        "failure_rate": "initbench.measures.failure_rate:FailureRate",
        "steps_to_threshold": "initbench.measures.steps_to_threshold:StepsToThreshold",
        "test_accuracy": "initbench.measures.test_accuracy:TestAccuracy",
        "validation_accuracy": "initbench.measures.validation_accuracy:ValidationAccuracy",
    },
}
"""Kind -> name -> `module:object`, as in an entry point."""
