"""The benchmark of drawing draws a ResNet-20."""

from __future__ import annotations

import logging

import pytest
import torch
from initbench_slice_vae.controls import Gaussian
from initbench_slices.drawing import SLICES, report
from initbench_slices.initialiser import LocalConfig
from initbench_slices.places import places_of

from initbench.models.cifar_resnet import CifarResNet
from initbench.models.tracing import anatomy


def test_its_layers_are_those_of_a_resnet_20() -> None:
    network = CifarResNet(CifarResNet.Config()).build(3, 32, 10)
    places = places_of(anatomy(network, torch.zeros(2, 3, 32, 32)))
    assert [place.slices for place in places] == SLICES


def test_one_network_and_several_at_once_are_timed(caplog: pytest.LogCaptureFixture) -> None:
    models = {"mean": torch.zeros(19, 9), "root": torch.eye(9).repeat(19, 1, 1)}
    with caplog.at_level(logging.INFO):
        report(Gaussian(LocalConfig()), models, "cpu", rounds=1, members=3)
    first, several = (record.getMessage() for record in caplog.records)
    assert first.startswith("slice_gaussian  1 x ResNet-20")
    assert several.startswith("slice_gaussian  3 x ResNet-20")
