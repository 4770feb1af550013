"""Shared by all tests: the machine's settings, the real CIFAR-10 where it is at hand, and small
models whose every weight counts."""

from __future__ import annotations

import os

# Before torch: waiting threads that spin slow a shared machine down several times.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from alp.config import ClassifierConfig, PurifierConfig
from alp.defences import Purifier, ResNetLite
from alp.seeding import generator, initialising, normal, uniform

# ALP_CASES=10000 tries that many examples of every property. A busy machine is no failure, and what
# hangs runs into the time limit of its test.
settings.register_profile(
    "alp", max_examples=int(os.environ.get("ALP_CASES", "100")), deadline=None
)
settings.load_profile("alp")

NOISES = ["learned", "per-channel", "fixed"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("ALP_DATA"):
        return
    skip = pytest.mark.skip(reason="needs CIFAR-10: set ALP_DATA to the folder above cifar10/")
    for item in items:
        if item.get_closest_marker("cifar10"):
            item.add_marker(skip)


@pytest.fixture
def cifar10() -> Path:
    """The folder that holds ``cifar10/``; for tests marked ``cifar10``."""
    return Path(os.environ["ALP_DATA"])


def stirred(model: nn.Module) -> nn.Module:
    """Some layers start at zero: moved, so that a wrong one cannot hide."""
    source = generator(0, "stir")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter += 0.05 * normal(parameter.shape, source)
    return model.eval()


@pytest.fixture(params=NOISES)
def purifier(request: pytest.FixtureRequest) -> Purifier:
    """A purifier of every kind of noise."""
    return make_purifier(request.param)


@pytest.fixture
def new_purifier() -> Callable[..., Purifier]:
    """Make a purifier with these settings."""
    return make_purifier


def make_purifier(noise: str = "learned", **settings) -> Purifier:
    with initialising(0, "purifier"):
        small = {"latent_channels": 8, "width": 8, "blocks": 1, **settings}
        model = stirred(Purifier(PurifierConfig(noise=noise, **small)))
    with torch.no_grad():
        if noise == "per-channel":
            model.noise.rho += torch.linspace(-1, 1, 8).view(8, 1, 1)
    return model


@pytest.fixture
def new_classifier() -> Callable[..., ResNetLite]:
    """Make a classifier of this size."""

    def make(size: str = "tiny", classes: int = 4) -> ResNetLite:
        with initialising(0, "classifier"):
            model = stirred(ResNetLite(ClassifierConfig(size, classes)))
        with torch.no_grad(), initialising(0, "statistics"):
            model.train()(torch.rand(8, 3, 16, 16))  # running statistics that are not the start's
        return model.eval()

    return make


@pytest.fixture
def new_images() -> Callable[..., Tensor]:
    """Make a batch of images of this size."""
    return lambda *size, seed=0: uniform((size[0], 3, *size[1:]), generator(seed, "images"))
