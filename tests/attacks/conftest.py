"""The model that the contracts are about."""

from __future__ import annotations

import pytest
from torch import nn

from alp.seeding import initialising


@pytest.fixture
def model() -> nn.Module:
    """A small network of 8x8 images and 5 classes, with statistics of its own."""
    with initialising(0, "model"):
        layers = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.BatchNorm2d(6),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(6 * 16, 5),
        )
    return layers.eval()
