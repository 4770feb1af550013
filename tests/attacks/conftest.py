"""The model that the contracts are about, and the draws that their bounds were measured at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from torch import nn

from alp.seeding import initialising


@pytest.fixture(scope="module", autouse=True)
def first_scheme() -> Iterator[None]:
    """Many bounds here hold for most models, images and starts, not for all: they were measured at
    those of the first seeding scheme, and stay there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALP_SEEDING", "1")
        yield


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
