"""GHN and Noise GHN, trained on images (Harder et al. 2023, section 3.3 and 5).

A graph hypernetwork is trained for a few epochs on ResNet-32, 44 and 56, so that it can predict the
weights of others. Everything but the decoder of weights starts from the GHN-2 that its authors
trained on CIFAR-10, if that file is there; else from scratch, which the artifact says.

| | paper | released code (`fidelity: code`) |
| --- | --- | --- |
| rate | divided by 10 after 15 and 20 of 30 epochs (4 and 5 of 6 on PCam) | never divided |
| networks end with | - | an average pool over the map, here a mean over it |

Deviations:
- The plain GHN gives the same weights for every seed, as it does in the paper.
- The code traces at 224 pixels whatever the images are; here the size is that of the images.
- Where the start was made for more classes, the head has as many rows as there are classes.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from initbench.api import (
    Anatomy,
    Artifact,
    Citation,
    CoverageMap,
    DataSource,
    FitInputs,
    ImageSplits,
    Initialisation,
    Initialiser,
    PluginError,
    Scope,
    Source,
    Support,
    Target,
)
from initbench_ghn.files import find
from initbench_ghn.ghn2 import image_size, readable
from initbench_ghn.options import NoiseGHNConfig, TrainedConfig

if TYPE_CHECKING:
    import torch

    from initbench_ghn.architecture import Noise
    from initbench_ghn.network import GHN

HARDER_2023 = Citation(
    "Harder et al.: From Pointwise to Powerhouse: Initialising Neural Networks with Generative "
    "Models, 2023",
    "https://arxiv.org/abs/2310.16695",
)
STATES = "INITBENCH_GHN_STATES"
"""Names a folder in which trainings are kept after each epoch, to be continued."""

ConfigT = TypeVar("ConfigT", bound=TrainedConfig)


class Trained(Initialiser[ConfigT]):
    """Predicts all weights with a hypernetwork that was trained for it."""

    scope = Scope.GLOBAL
    citation = HARDER_2023

    def noise(self) -> Noise | None:
        """Return the noise that the hypernetwork has."""
        return None

    def lesson_options(self) -> dict[str, Any]:
        """Return what a subclass changes about its training."""
        return {}

    def sources(self, target: Target) -> tuple[Source, ...]:
        return (DataSource(self.config.dataset, self.config.dataset_config),)

    def fit_config(self) -> ConfigT:
        return self.config.model_copy(update={"head": "predicted"})

    def supports(self, anatomy: Anatomy) -> Support:
        path = find(self.config.start) if self.config.start else None
        return Support.yes() if path is None else readable(path)

    def images_needed(self) -> int:
        return 1  # only its size is looked at

    def fit(self, inputs: FitInputs) -> Artifact:
        from initbench_ghn.architectures import Architectures
        from initbench_ghn.beginning import begun
        from initbench_ghn.checkpoint import stated
        from initbench_ghn.pictures import Pictures
        from initbench_ghn.training import Trainer

        (splits,) = inputs.sources
        assert isinstance(splits, ImageSplits)
        ghn, start = begun(self.config, self.noise(), splits.classes, inputs.generator)
        ghn.to(inputs.device).requires_grad_()
        networks = Architectures(
            self.config.architectures,
            self.config.generated,
            splits.channels,
            splits.classes,
            average_pool=self.config.fidelity == "code",
        )
        lesson = self._lesson(self.config.dataset or inputs.target.dataset)
        trainer = Trainer(ghn, networks, lesson, inputs.generator, judges=networks.judges)
        mean, std = _normalisation(splits, inputs.device)
        progress = trainer.train(
            Pictures(splits.train, mean, std),
            Pictures(splits.validation, mean, std),
            _state_file(self, splits),
        )
        if not progress.best:
            raise PluginError("the graph hypernetwork never had a finite validation loss")
        return Artifact(
            {name: x.cpu().contiguous() for name, x in progress.best.items()},
            {
                "method": self.name,
                "architecture": stated(ghn.architecture),
                "start": start,
                "epochs": lesson.epochs,
                "best_epoch": 1 + progress.validation.index(min(progress.validation)),
                "steps_left_out": progress.failures,
                "diagnostics": {
                    "columns": ["epoch", "loss", "validation_cross_entropy"],
                    "rows": [
                        [epoch, *(x if math.isfinite(x) else None for x in row)]
                        for epoch, row in enumerate(
                            zip(progress.losses, progress.validation, strict=True), start=1
                        )
                    ],
                },
                "warnings": [start] if "scratch" in start else [],
            },
        )

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        from initbench_ghn.prediction import initialise

        ghn = self.fitted(job.artifact)
        size = image_size(job)
        return initialise(network, ghn, job.anatomy, size, job.generator, self.config.head)

    def fitted(self, artifact: Artifact | None) -> GHN:
        """Return the hypernetwork of an artifact; raise PluginError if it is of another method."""
        from initbench_ghn.checkpoint import architecture_of, restored

        if artifact is None or artifact.description.get("method") != self.name:
            raise PluginError(f"`{self.name}` needs a fitted state of its own; fit it again")
        said = artifact.description["architecture"]
        architecture = architecture_of(said["config"], said.get("noise_decoder"))
        return restored(architecture, artifact.tensors)

    def _lesson(self, dataset: str) -> Any:
        from initbench_ghn.training import Lesson

        config, is_pcam = self.config, dataset.startswith("pcam")
        epochs = config.epochs or (6 if is_pcam else 30)
        milestones = config.milestones
        if milestones is None:
            shares = (4 / 6, 5 / 6) if is_pcam else (15 / 30, 20 / 30)
            milestones = tuple(sorted({max(1, round(share * epochs)) for share in shares}))
        if config.fidelity == "code":
            milestones = ()
        return Lesson(
            epochs=epochs,
            milestones=milestones,
            batch_size=config.batch_size,
            rate=config.rate,
            weight_decay=config.weight_decay,
            meta_batch=config.meta_batch,
            amp=config.amp,
            **self.lesson_options(),
        )


class GHNInitialiser(Trained[TrainedConfig]):
    """Predicts the same weights for every seed."""

    name = "ghn"
    summary = "all weights predicted by a graph hypernetwork, trained on images"
    version = "2"
    Config = TrainedConfig


class NoiseGHNInitialiser(Trained[NoiseGHNConfig]):
    """Predicts other weights for every seed, from noise at each node."""

    name = "noise_ghn"
    summary = "as `ghn`, with noise at each node, so that every seed has other weights"
    version = "2"
    Config = NoiseGHNConfig

    def noise(self) -> Noise | None:
        from initbench_ghn.architecture import Noise

        return Noise(self.config.noise_size, self.config.noise_std)

    def lesson_options(self) -> dict[str, Any]:
        return {
            "similarity": self.config.similarity,
            "similarity_weight": self.config.similarity_weight,
        }


def _normalisation(splits: ImageSplits, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    mean, std = (torch.tensor(x, device=device)[:, None, None] for x in (splits.mean, splits.std))
    return mean, std


def _state_file(method: Trained[Any], splits: ImageSplits) -> Path | None:
    """Return where to keep the state of this training; None where nobody asked for that."""
    folder = os.environ.get(STATES)
    if not folder:
        return None
    labels = splits.train.labels.numpy().tobytes() + splits.train.ids.numpy().tobytes()
    what = f"{method.name} {method.version} {method.config.model_dump_json()}".encode()
    return Path(folder) / f"{hashlib.sha256(what + labels).hexdigest()[:32]}.state"
