"""Training data and trainings of a second or less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from alp.config import ClassifierConfig, EngineConfig, OptimConfig, PurifierConfig
from alp.data import Images
from alp.defences import Purifier, ResNetLite
from alp.defences.checkpoint import save
from alp.seeding import generator, initialising, uniform

CODE = PurifierConfig(latent_channels=8, width=8, blocks=1)
HEAD = ClassifierConfig(size="tiny", classes=4)


@pytest.fixture(scope="session")
def toy() -> Images:
    """64 smooth pictures of 16 x 16 pixels; the class shows in the colour."""
    source = generator(0, "toy")
    labels = torch.arange(64) % 4
    rough = uniform((64, 3, 5, 5), source)
    rough[torch.arange(64), labels.clamp(max=2)] *= 0.3
    pictures = F.interpolate(rough, 16, mode="bilinear").mul(255).to(torch.uint8)
    return Images.of(pictures, labels, ["a", "b", "c", "d"], "toy", "train")


@pytest.fixture(scope="session")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Weights to start from."""
    folder = tmp_path_factory.mktemp("parents")
    paths = {"purifier": folder / "purifier", "classifier": folder / "classifier"}
    with initialising(0, "parents"):
        save(Purifier(CODE), paths["purifier"])
        save(ResNetLite(HEAD), paths["classifier"])
    return paths


@pytest.fixture
def short() -> Callable[..., OptimConfig]:
    """Optimiser settings of eight steps a pass over ``toy``, unless given."""

    def make(**settings) -> OptimConfig:
        usual = {"epochs": 2, "batch_size": 16, "lr": 0.05, "ema": 0.9}
        return OptimConfig(**{**usual, **settings})

    return make


@pytest.fixture(scope="session")
def engine() -> EngineConfig:
    """One process, one thread, full precision."""
    return EngineConfig(accelerator="cpu", precision="32-true", threads=1)
