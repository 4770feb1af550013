"""Other people's defences in front of a classifier: closed forms one by one."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import median_filter as scipy_median
from torch import nn

from alp import seeding
from alp.defences.diffusion import DiffPure, OneStep, UNet, alpha_bar
from alp.defences.magnet import MagNet
from alp.defences.smoothing import RandomisedSmoothing
from alp.defences.transforms import JPEG, MedianSmoothing, median_filter
from alp.errors import ConfigError

pytest.importorskip("diffusers")


def test_the_published_network() -> None:
    network = UNet().build("cpu")
    assert sum(each.numel() for each in network.parameters()) == 35_746_307


class Oracle(nn.Module):
    """The noise predictor of a distribution that is one image, in [-1,1]."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()
        self.image, self.signal, self.steps = image, alpha_bar("cpu"), []

    def forward(self, z, step):
        self.steps.append(step)
        at = self.signal[step]
        self.sample = (z - at.sqrt() * self.image) / (1 - at).sqrt()
        return self


@pytest.mark.parametrize("kind", [DiffPure, OneStep])
def test_a_perfect_network_brings_back_its_image(kind, new_images, monkeypatch) -> None:
    clean, x = new_images(1, 8, 8), new_images(1, 8, 8, seed=1)
    oracle = Oracle(2 * clean - 1)
    monkeypatch.setattr(UNet, "build", lambda self, device: oracle)
    purified = kind(nn.Flatten(), steps=20).purify(x, seeding.generator(0, "peer"))
    assert torch.allclose(purified, clean, atol=1e-4)
    assert oracle.steps == (list(range(19, -1, -1)) if kind is DiffPure else [19])


def test_noise_is_added_as_far_as_the_first_step(new_images, monkeypatch) -> None:
    """A network that predicts none leaves the noisy image, scaled."""
    monkeypatch.setattr(UNet, "build", lambda self, device: _Silent())
    x = torch.full((1, 3, 64, 64), 0.5)
    image = OneStep(nn.Flatten()).purify(x, seeding.generator(0, "peer"))
    at = float(alpha_bar("cpu")[99])
    assert float(image.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(image.std()) == pytest.approx(((1 - at) / at) ** 0.5 / 2, rel=0.05)


class _Silent:
    def __call__(self, z, step):
        self.sample = torch.zeros_like(z)
        return self


@pytest.mark.parametrize("window", [1, 2, 3])
def test_median_is_scipys(window: int, new_images) -> None:
    x = new_images(2, 9, 7)
    wanted = scipy_median(x.numpy(), (1, 1, window, window), mode="mirror")
    assert np.array_equal(median_filter(x, window).numpy(), wanted)


def test_jpeg_is_pillows(new_images) -> None:
    pixels = (255 * new_images(1, 16, 16)).round().byte()[0].permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=75)
    with Image.open(buffer) as image:
        wanted = np.asarray(image)
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    found = JPEG(nn.Flatten()).purify(x, seeding.generator(0, "peer"))
    assert np.array_equal((255 * found[0]).round().byte().permute(1, 2, 0).numpy(), wanted)


def test_magnet_has_the_paper_s_three_layers() -> None:
    defence = MagNet(nn.Flatten())
    assert [type(each) for each in defence.reformer] == 3 * [nn.Conv2d, nn.Sigmoid]
    with torch.inference_mode():
        image = defence.purify(torch.zeros(1, 3, 8, 8), seeding.generator(0, "peer"))
    assert image.shape == (1, 3, 8, 8)
    assert 0 < float(image.min()) <= float(image.max()) < 1


def test_smoothing_counts_decisions(new_classifier, new_images) -> None:
    x, classifier = new_images(4, 16, 16), new_classifier()
    source = seeding.generator(0, "peer")
    with torch.inference_mode():
        sure = RandomisedSmoothing(classifier, draws=7, sigma=1e-9).eval()(x, source)
        torn = RandomisedSmoothing(classifier, draws=7, sigma=5.0).eval()(x, source)
        decided = classifier(x).argmax(1)
    assert torch.equal(sure, 7.0 * nn.functional.one_hot(decided, 4))
    assert torch.equal(torn.sum(1), torch.full((4,), 7.0))


@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (DiffPure, {"steps": 0}),
        (DiffPure, {"steps": 1001}),
        (OneStep, {"steps": 0}),
        (JPEG, {"quality": 0}),
        (RandomisedSmoothing, {"draws": 0}),
        (RandomisedSmoothing, {"sigma": 0.0}),
        (MagNet, {"channels": 0}),
        (MedianSmoothing, {"window": 0}),
    ],
)
def test_impossible_settings_are_refused(kind, setting) -> None:
    ((name, value),) = setting.items()
    words = name.replace("steps", "time step")
    with pytest.raises(ConfigError, match=f"{words}.* (is|are) {value}; give"):
        kind(nn.Flatten(), **setting)
