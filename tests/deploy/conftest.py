"""A small defended model, images that its encoder has to pad, and what was made of it once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from alp.config import ClassifierConfig, PurifierConfig
from alp.defences import Defended, Purifier, ResNetLite
from alp.deploy import build, export_onnx
from alp.deploy.onnx_models import onnx_models
from alp.seeding import generator, initialising, normal

SIZE = (10, 14)


def stirred(model: nn.Module) -> nn.Module:
    """Nothing as it was initialised, statistics least of all."""
    source = generator(0, "stir")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * normal(parameter.shape or (1,), source).view(parameter.shape)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean += 0.2 * normal(module.running_mean.shape, source)
                module.running_var *= 1 + 0.5 * torch.rand(module.running_var.shape)
    return model.eval()


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((5, 3, *SIZE), np.float32)


@pytest.fixture(scope="session")
def defended(images) -> Defended:
    """Its classes are nearly tied, so that the draws decide."""
    settings = PurifierConfig(latent_channels=8, width=8, blocks=1, noise="per-channel", sigma=1.5)
    with initialising(0, "deploy"):
        model = Defended(ResNetLite(ClassifierConfig("tiny", 4)), Purifier(settings), draws=6)
        stirred(model)
    with torch.no_grad():
        x, head = torch.from_numpy(images), model.classifier.head
        head.weight *= 10
        head.bias -= model(x, generator(0, "bias"), draws=50).mean(0)
    return model


@pytest.fixture(scope="session")
def calibration() -> np.ndarray:
    return np.random.default_rng(1).random((32, 3, *SIZE), np.float32)


@pytest.fixture(scope="session")
def engine_of(defended, calibration):
    """The engine of a backend and precision, built once, all from the same ONNX models."""
    built, converted = {}, {}

    def once(graphs):
        converted.update({} if converted else onnx_models(graphs))
        return converted

    def make(name: str, precision: str = "float32"):
        if (name, precision) not in built:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("alp.deploy.onnx_models.onnx_models", once)
                built[name, precision] = build(
                    name, defended, 1, precision, size=SIZE, calibration=calibration
                )
        return built[name, precision]

    return make


@pytest.fixture(scope="session")
def exported(defended, tmp_path_factory) -> Path:
    """A folder with the noise as an input."""
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("exported")
    export_onnx(defended, folder, size=SIZE)
    return folder


@pytest.fixture(scope="session")
def inside(defended, tmp_path_factory) -> Path:
    """A folder with the noise inside."""
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("inside")
    export_onnx(defended, folder, noise="inside", size=SIZE)
    return folder
