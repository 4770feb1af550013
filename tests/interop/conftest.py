"""A tiny defended model in the deployed mode: its draws are seeded by the operating system."""

from __future__ import annotations

import pytest
import torch

from alp.data.images import Images
from alp.defences import Defended


@pytest.fixture
def defended(new_classifier, new_purifier, new_images) -> Defended:
    """So little noise that most images keep their class, and no class that most images have."""
    model = Defended(new_classifier(), new_purifier("fixed", sigma=0.01), draws=3).eval()
    with torch.no_grad():
        model.classifier.head.bias -= model(new_images(64, 12, 12)).mean(0)
    return model


@pytest.fixture
def images(defended, new_images) -> Images:
    """The 32 of 64 images on which the model is surest, labelled by it."""
    pixels = (255 * new_images(64, 12, 12)).to(torch.uint8)
    with torch.no_grad():
        first, second = defended(pixels.float() / 255).topk(2).values.T
        index = (first - second).topk(32).indices
        labels = defended(pixels[index].float() / 255).argmax(1)
    return Images.of(pixels[index], labels, list("abcd"), "toy", "test")


@pytest.fixture
def batch(images) -> tuple[torch.Tensor, torch.Tensor]:
    """All of them: x (32,3,12,12) in [0,1], y (32,)."""
    return images.batch(torch.arange(len(images)))


@pytest.fixture
def check(defended, batch):
    """What every library's adversarial images have to be: finite, inside the ball and [0,1], and
    worse for the model, whose weights and mode the attack leaves alone."""
    weights = {name: tensor.clone() for name, tensor in defended.state_dict().items()}
    x, y = batch

    def accuracy(images: torch.Tensor) -> float:
        with torch.no_grad():
            return (defended(images).argmax(1) == y).float().mean().item()

    def checked(x_adv: torch.Tensor, eps: float) -> None:
        assert x_adv.shape == x.shape
        assert x_adv.dtype == x.dtype
        assert x_adv.isfinite().all()
        assert (x_adv - x).abs().max() <= eps * (1 + 1e-4)
        assert x_adv.min() >= 0
        assert x_adv.max() <= 1
        assert accuracy(x) > 0.9
        assert accuracy(x_adv) < accuracy(x) - 0.3
        assert not defended.training
        for name, tensor in defended.state_dict().items():
            assert torch.equal(tensor, weights[name]), name

    return checked
