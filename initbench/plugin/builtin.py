"""What the harness itself provides: names only, so that listing imports no model and no measure."""

from __future__ import annotations

from initbench.plugin.hooks import Kind
from initbench.training.recipes import RECIPES

BUILTIN: dict[Kind, dict[str, str]] = {
    Kind.MODEL: {
        "all_cnn_c": "initbench.models.all_cnn_c:AllCNNC",
        "cifar_resnet": "initbench.models.cifar_resnet:CifarResNet",
        "convnext_base": "initbench.models.convnext_base:ConvNeXtBase",
        "hypernetwork": "initbench.models.hypernetwork.model:Hypernetwork",
        "mlp": "initbench.models.mlp:MLP",
        "mobilenet_v1": "initbench.models.mobilenet_v1:MobileNetV1",
        "resnet50": "initbench.models.resnet50:ResNet50",
        "zoo_cnn": "initbench.models.zoo_cnn:ZooCNN",
    },
    Kind.DATASET: {
        "chang2020_regression": "initbench.data.sets.chang2020_regression:Chang2020Regression",
        "cifar10": "initbench.data.sets.cifar10:CIFAR10",
        "cifar10c": "initbench.data.sets.cifar10c:CIFAR10C",
        "digits": "initbench.data.sets.digits:Digits",
        "imagenet": "initbench.data.sets.imagenet:ImageNet",
        "mnist": "initbench.data.sets.mnist:MNIST",
        "pcam": "initbench.data.sets.pcam:PCam",
        "pcam_small": "initbench.data.sets.pcam_small:PCamSmall",
        "stl10": "initbench.data.sets.stl10:STL10",
        "svhn": "initbench.data.sets.svhn:SVHN",
        "tiny_imagenet": "initbench.data.sets.tiny_imagenet:TinyImageNet",
        "usps": "initbench.data.sets.usps:USPS",
    },
    Kind.RECIPE: {name: f"initbench.training.recipes:RECIPES.{name}" for name in RECIPES},
    Kind.MEASURE: {
        "activation_variance": "initbench.measures.activation_variance:ActivationVariance",
        "area_under_curve": "initbench.measures.area_under_curve:AreaUnderCurve",
        "channel_correlation": "initbench.measures.channel_correlation:ChannelCorrelation",
        "dead_units": "initbench.measures.dead_units:DeadUnits",
        "device_seconds": "initbench.measures.device_seconds:DeviceSeconds",
        "distance_travelled": "initbench.measures.distance_travelled:DistanceTravelled",
        "energy": "initbench.measures.energy:Energy",
        "ensemble_accuracy": "initbench.measures.ensemble_accuracy:EnsembleAccuracy",
        "ensemble_brier": "initbench.measures.ensemble_brier:EnsembleBrier",
        "ensemble_ece": "initbench.measures.ensemble_ece:EnsembleECE",
        "ensemble_gain": "initbench.measures.ensemble_gain:EnsembleGain",
        "ensemble_nll": "initbench.measures.ensemble_nll:EnsembleNLL",
        "failure_rate": "initbench.measures.failure_rate:FailureRate",
        "gradient_variance": "initbench.measures.gradient_variance:GradientVariance",
        "logit_cosine": "initbench.measures.logit_cosine:LogitCosine",
        "logit_entropy": "initbench.measures.logit_entropy:LogitEntropy",
        "nearest_neighbour": "initbench.measures.nearest_neighbour:NearestNeighbour",
        "prediction_agreement": "initbench.measures.prediction_agreement:PredictionAgreement",
        "scale_drift": "initbench.measures.scale_drift:ScaleDrift",
        "steps_to_threshold": "initbench.measures.steps_to_threshold:StepsToThreshold",
        "test_accuracy": "initbench.measures.test_accuracy:TestAccuracy",
        "test_loss": "initbench.measures.test_loss:TestLoss",
        "train_loss": "initbench.measures.train_loss:TrainLoss",
        "validation_accuracy": "initbench.measures.validation_accuracy:ValidationAccuracy",
        "weight_norm": "initbench.measures.weight_norm:WeightNorm",
    },
}
"""Kind -> name -> `module:object`, as in an entry point."""

FAMILIES = {
    "timm": "initbench.models.timm_family",
    "torchvision": "initbench.models.torchvision_family",
}
"""Name -> module that implements the hooks itself, for names that cannot be listed."""
