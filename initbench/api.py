'''Everything that the author of a plugin imports, and nothing that may change without notice.

A complete plugin is one class and four lines of `pyproject.toml`:

    """initbench_small: normal weights of one small width."""

    from typing import Annotated

    import torch
    from pydantic import Field

    from initbench.api import Citation, Config, CoverageMap, Initialisation, Initialiser, Scope


    class SmallConfig(Config):
        std: Annotated[float, Field(gt=0, description="standard deviation of the weights")] = 0.01


    class Small(Initialiser[SmallConfig]):
        """Weights from N(0, std^2), biases zero."""

        name = "small"
        scope = Scope.POINTWISE
        summary = "normal, the same small width in every layer"
        citation = Citation("A. Krizhevsky et al.: ImageNet classification. NeurIPS, 2012")
        version = "1"  # bump it when the weights drawn for a seed change
        Config = SmallConfig

        @torch.no_grad()
        def initialise(self, network: torch.nn.Module, job: Initialisation) -> CoverageMap:
            coverage = CoverageMap.of(network)
            for layer in job.anatomy.weight_layers():
                weight = network.get_parameter(layer.weight)
                draw = torch.randn(weight.shape, generator=job.generator)
                weight.copy_(self.config.std * draw)
                coverage.generated(layer.weight, "normal")
                if layer.bias:
                    network.get_parameter(layer.bias).zero_()
                    coverage.rule(layer.bias, "zero")
            coverage.untouched_rest("no convolution, no linear layer")
            return coverage

and, in `pyproject.toml`:

    [project]
    dependencies = ["initbench"]

    [project.entry-points.initbench]
    "initialiser.small" = "initbench_small:Small"

Installed, it is listed by `initbench plugins list`, described by `initbench plugins show small`,
and any suite may name it. Models, data sets, recipes and measures are added in the same way.
'''

from __future__ import annotations

from initbench.data.conformance import check_dataset
from initbench.data.dataset import DataSet, Images, ImageSplits, Remark, Split
from initbench.data.files import DataFile, Download, Report
from initbench.data.folder.filed import FileDataSet, FilesConfig
from initbench.errors import PluginError, UnsupportedError, UserError
from initbench.measures.measure import (
    CostMeasure,
    Measure,
    NetworkMeasure,
    PopulationMeasure,
    PopulationValue,
    RecordMeasure,
)
from initbench.models.anatomy import (
    Anatomy,
    GeneratedTensor,
    Layer,
    LayerKind,
    LayerRole,
    OutputLayer,
    SelfDescribed,
)
from initbench.models.model import Model
from initbench.plugin.coverage import CoverageMap, Treatment
from initbench.plugin.example import ExampleNetwork, example_network
from initbench.plugin.hooks import Kind, hookimpl
from initbench.plugin.initialiser import (
    API_VERSION,
    Artifact,
    Batch,
    Citation,
    Config,
    Initialisation,
    Initialiser,
    Scope,
    Support,
    Target,
)
from initbench.plugin.sources import (
    Checkpoint,
    DataSource,
    FitInputs,
    Source,
    Zoo,
    ZooMember,
    ZooSource,
)
from initbench.probes.probe import Observation, Population, Probe, ProbeImages, Subject
from initbench.store.record import Cost, Record

__all__ = [
    "API_VERSION",
    "Anatomy",
    "Artifact",
    "Batch",
    "Checkpoint",
    "Citation",
    "Config",
    "Cost",
    "CostMeasure",
    "CoverageMap",
    "DataFile",
    "DataSet",
    "DataSource",
    "Download",
    "ExampleNetwork",
    "FileDataSet",
    "FilesConfig",
    "FitInputs",
    "GeneratedTensor",
    "ImageSplits",
    "Images",
    "Initialisation",
    "Initialiser",
    "Kind",
    "Layer",
    "LayerKind",
    "LayerRole",
    "Measure",
    "Model",
    "NetworkMeasure",
    "Observation",
    "OutputLayer",
    "PluginError",
    "Population",
    "PopulationMeasure",
    "PopulationValue",
    "Probe",
    "ProbeImages",
    "Record",
    "RecordMeasure",
    "Remark",
    "Report",
    "Scope",
    "SelfDescribed",
    "Source",
    "Split",
    "Subject",
    "Support",
    "Target",
    "Treatment",
    "UnsupportedError",
    "UserError",
    "Zoo",
    "ZooMember",
    "ZooSource",
    "check_dataset",
    "example_network",
    "hookimpl",
]
