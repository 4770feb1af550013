"""Images that a linear classifier gets right, without a defence and behind noise."""

from __future__ import annotations

import pytest
import torch
from linear_defence import LinearDefence

from alp import seeding
from alp.data.images import Images

SIDE = 12
CLASSES = 3


@pytest.fixture
def weight():
    source = seeding.for_data(0, "test-weight")
    return seeding.normal((3 * SIDE * SIDE, CLASSES), source) / 10


@pytest.fixture
def undefended(weight):
    return LinearDefence(weight, draws=1)


@pytest.fixture
def defended(weight):
    return LinearDefence(weight, sigma=0.05)


@pytest.fixture
def images(weight):
    """50 images away from black and white, labelled by the bare classifier."""
    pixels = 64 + 128 * seeding.uniform((50, 3, SIDE, SIDE), seeding.for_data(0, "test-pixels"))
    pixels = pixels.to(torch.uint8)
    labels = (pixels.float().div(255).flatten(1) @ weight).argmax(1)
    return Images.of(pixels, labels, ["a", "b", "c"], "toy", "test")
