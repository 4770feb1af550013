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
from alp.bench.published import PublishedUNet
from alp.defences.smoothing import RandomisedSmoothing
from alp.defences.transforms import JPEG, BitDepth, MedianSmoothing, median_filter
from alp.errors import ConfigError


def test_the_published_network() -> None:
    pytest.importorskip("diffusers")
    network = PublishedUNet().build()
    assert sum(each.numel() for each in network.parameters()) == 35_746_307


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


def test_few_bits_leave_few_grey_levels() -> None:
    x = torch.linspace(0, 1, 3 * 16 * 16).view(1, 3, 16, 16)
    found = BitDepth(nn.Flatten(), bits=2).purify(x, seeding.generator(0, "peer"))
    assert (3 * found).unique().tolist() == pytest.approx([0, 1, 2, 3])
    assert (found - x).abs().max() <= 1 / 6 + 1e-6, "to the nearest level"


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
        (BitDepth, {"bits": 9}),
        (JPEG, {"quality": 0}),
        (RandomisedSmoothing, {"draws": 0}),
        (RandomisedSmoothing, {"sigma": 0.0}),
        (MedianSmoothing, {"window": 0}),
    ],
)
def test_impossible_settings_are_refused(kind, setting) -> None:
    ((name, value),) = setting.items()
    with pytest.raises(ConfigError, match=f"{name}.* (is|are) {value}; give"):
        kind(nn.Flatten(), **setting)
