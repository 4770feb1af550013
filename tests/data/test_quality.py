from __future__ import annotations

import math

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from alp import seeding
from alp.data.quality import psnr, ssim
from alp.errors import ConfigError


def _pair(height, width, noise):
    source = seeding.generator(0, "test-quality", height, width)
    place = torch.linspace(0, 6, width) + torch.linspace(0, 3, height)[:, None]
    x = (0.5 + 0.4 * torch.sin(place + 2 * seeding.uniform((4, 3, 1, 1), source))).float()
    return x, (x + noise * seeding.normal(x.shape, source)).clamp(0, 1)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (11, 11), (17, 40)])
@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
def test_ssim_is_scikit_images(height, width, noise):
    x, x_hat = _pair(height, width, noise)
    expected = [
        structural_similarity(
            a.double().numpy(),
            b.double().numpy(),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
            channel_axis=0,
        )
        for a, b in zip(x, x_hat, strict=True)
    ]
    assert ssim(x, x_hat).tolist() == pytest.approx(expected, abs=1e-5)


def test_psnr_is_scikit_images():
    x, x_hat = _pair(32, 32, 0.05)
    expected = [
        peak_signal_noise_ratio(a.double().numpy(), b.double().numpy(), data_range=1.0)
        for a, b in zip(x, x_hat, strict=True)
    ]
    assert psnr(x, x_hat).tolist() == pytest.approx(expected, abs=1e-4)


def test_psnr_of_the_papers_error():
    x = torch.full((1, 3, 4, 4), 0.5)
    assert psnr(x, x + math.sqrt(0.0027)).item() == pytest.approx(25.686, abs=1e-3)


def test_equal_images_have_no_error():
    x, _ = _pair(32, 32, 0.1)
    assert psnr(x, x).tolist() == [math.inf] * 4
    assert ssim(x, x).tolist() == pytest.approx([1.0] * 4, abs=1e-6)


def test_flat_images_do_not_divide_by_zero():
    x = torch.zeros(1, 3, 12, 12)
    assert ssim(x, x + 1).item() == pytest.approx(1e-4 / 1.0001, abs=1e-6)


def test_bad_shapes_are_refused():
    with pytest.raises(ConfigError, match="same shape"):
        psnr(torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 4, 4))
    with pytest.raises(ConfigError, match="10x12"):
        ssim(torch.zeros(1, 3, 10, 12), torch.zeros(1, 3, 10, 12))
