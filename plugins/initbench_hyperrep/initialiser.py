"""Hyper-representations as an initialiser (Schürholt et al. 2022, "Hyper-Representations for
Pre-Training and Transfer Learning").

An autoencoder learns the checkpoints of a zoo; new networks are decoded from latents that are drawn
from the density of theirs. The populations of the paper's tables are configurations:

| population | configuration |
| --- | --- |
| S_KDE | `top: 1.0` |
| S_KDE30 | `top: 0.3` |
| B_KDE30 | `top: 0.3, layer_normalised: false` |

Deviations:
- The best 30 % are chosen by accuracy on validation images; the released code has test images
  (`fidelity: code`).
- Samplers that the paper does not have (`sampling`), and networks other than its CNN (`tokens`).
- Each seed draws one sample; the released code draws a population at once.
- With `align`, off by default, networks have their neurons in one order before they are learnt
  (`alignment`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    LayerKind,
    PluginError,
    Scope,
    Source,
    Support,
    Target,
    UnsupportedError,
    Zoo,
    ZooSource,
)
from initbench_hyperrep.options import HyperRepresentationConfig, zoo_recipe, zoo_start
from initbench_hyperrep.tokens import TokenTable

if TYPE_CHECKING:
    import torch


class HyperRepresentation(Initialiser[HyperRepresentationConfig]):
    """Decodes a network from a latent, drawn from those of the networks of a zoo."""

    name = "hyper_representation"
    scope = Scope.GLOBAL
    summary = "a whole network sampled from an autoencoder of the networks of a zoo"
    citation = Citation(
        "Schürholt, Knyazev, Giró-i-Nieto, Borth: Hyper-Representations for Pre-Training and "
        "Transfer Learning. ICML Workshop on Pre-training, 2022",
        "https://arxiv.org/abs/2207.10951",
    )
    version = "1"
    Config = HyperRepresentationConfig
    fits_zoo_only = True

    def fit_config(self) -> HyperRepresentationConfig:
        """Leave out what the zoo is, which the sources say, and how samples are drawn."""
        return self.config.of_the_fit()

    def supports(self, anatomy: Anatomy) -> Support:
        try:
            TokenTable.of(anatomy)
        except UnsupportedError as error:
            return Support.no(str(error))
        if not self.config.images and any(x.kind is LayerKind.NORM for x in anatomy):
            return Support.no(
                "it has norms, whose running statistics are estimated on training images: say on "
                "how many with `images`, 256 for example"
            )
        return Support.yes()

    def images_needed(self) -> int:
        return self.config.images

    def sources(self, target: Target) -> tuple[Source, ...]:
        """Ask for the zoo, and for its images, to see what reconstructed networks are worth."""
        config = self.config
        dataset = config.dataset or target.dataset
        recipe = zoo_recipe(config, dataset, target.recipe)
        if config.fidelity == "code":
            tested = [epoch for epoch in config.kept if epoch]
            recipe["evaluation"] = {**recipe.get("evaluation", {}), "test_epochs": tested}
        start, options = zoo_start(config, dataset)
        return (
            ZooSource(
                count=config.networks,
                dataset=config.dataset,
                dataset_config=config.dataset_config,
                recipe=recipe,
                initialiser=start,
                initialiser_config=options,
                checkpoints=config.kept,
            ),
            DataSource(config.dataset, config.dataset_config),
        )

    def fit(self, inputs: FitInputs) -> Artifact:
        from initbench_hyperrep.fitting import fit

        zoo, splits = inputs.sources
        assert isinstance(zoo, Zoo)
        assert isinstance(splits, ImageSplits)
        return fit(self.config, inputs, zoo, splits)

    def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
        import torch

        from initbench_hyperrep.exam import estimate_statistics, has_statistics
        from initbench_hyperrep.fitted import Fitted

        if job.artifact is None:
            raise PluginError(f"`{self.name}` needs a fitted state, got none")
        fitted = Fitted.of(job.artifact)
        fitted.refuse_others(TokenTable.of(job.anatomy))
        config = self.config
        drawn = fitted.draw(
            config.sampler, 1, config.top, job.generator, config.bandwidth, config.fidelity
        )
        coverage = CoverageMap.of(network)
        with torch.no_grad():
            for name, values in fitted.decoded(drawn)[0].items():
                network.get_parameter(name).copy_(values)
                coverage.generated(name, fitted.remark(config.sampler))
        if has_statistics(network):
            assert job.batch is not None
            estimate_statistics(network, job.batch.images)
            coverage.sets_buffers("running statistics estimated on training images")
        return coverage
