"""A small classifier whose votes differ, and images for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from alp.data import Images
from alp.defences import ResNetLite
from alp.seeding import generator, normal


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As a worker process has it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def voter(new_classifier) -> ResNetLite:
    """Four classes, each of which is some noisy image's."""
    model = new_classifier()
    x = 0.5 + 0.5 * normal((64, 3, 8, 8), generator(0, "noisy"))
    with torch.no_grad():
        logits = model.answer(x)
        model.head.bias -= logits.mean(0)
        model.head.weight /= logits.std()
        model.head.bias /= logits.std()
    return model


@pytest.fixture
def new_data(new_images) -> Callable[[int], Images]:
    """Make a data set of so many images of 8 x 8 pixels."""

    def make(count: int) -> Images:
        pixels = (255 * new_images(count, 8, 8)).to(torch.uint8)
        return Images.of(pixels, torch.arange(count) % 4, list("abcd"), "toy", "test")

    return make
