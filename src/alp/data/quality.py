"""Picture quality of a purified image, beside the image it came from."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from alp.errors import ConfigError

WINDOW = 11
"""Sides below this many pixels have no structural similarity."""
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2  # Wang's K1 and K2 for a dynamic range of 1


def psnr(x: Tensor, x_hat: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, (B,), of images (B,C,H,W) in [0,1].

    ``-10 log10(MSE)``; infinite where the two are equal.

    Raises:
        ConfigError: the two have different shapes, or are no batch of images.
    """
    _require_pair(x, x_hat)
    return -10 * (x - x_hat).square().mean((1, 2, 3)).log10()


def ssim(x: Tensor, x_hat: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004, equation 13), (B,), mean over pixels and channels.

    Gaussian window of 11 pixels, sigma 1.5; population moments; images (B,C,H,W) in [0,1]. Border:
    only the (H-10) x (W-10) pixels whose window lies inside the image count, as in Wang's own
    code and in scikit-image, so that nothing is made up beyond the edge.

    Raises:
        ConfigError: the two have different shapes, or a side is shorter than the window.
    """
    _require_pair(x, x_hat)
    if min(x.shape[-2:]) < WINDOW:
        raise ConfigError(
            f"images of {x.shape[-2]}x{x.shape[-1]} pixels are smaller than SSIM's window; "
            f"give at least {WINDOW}x{WINDOW}"
        )
    mean, mean_hat = _blur(x), _blur(x_hat)
    variance = _blur(x * x) - mean * mean
    variance_hat = _blur(x_hat * x_hat) - mean_hat * mean_hat
    covariance = _blur(x * x_hat) - mean * mean_hat
    luminance = (2 * mean * mean_hat + _C1) / (mean * mean + mean_hat * mean_hat + _C1)
    structure = (2 * covariance + _C2) / (variance + variance_hat + _C2)
    return (luminance * structure).mean((1, 2, 3))


def _blur(x: Tensor) -> Tensor:
    """Every channel under the Gaussian window, without padding; the window is separable."""
    place = torch.arange(WINDOW, device=x.device, dtype=x.dtype) - WINDOW // 2
    window = (-(place**2) / (2 * _SIGMA**2)).exp()
    window = window / window.sum()
    flat = x.flatten(0, 1).unsqueeze(1)
    flat = F.conv2d(F.conv2d(flat, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
    return flat.view(*x.shape[:2], *flat.shape[-2:])


def _require_pair(x: Tensor, x_hat: Tensor) -> None:
    if x.shape != x_hat.shape or x.ndim != 4 or x.numel() == 0:
        raise ConfigError(
            f"images of shapes {tuple(x.shape)} and {tuple(x_hat.shape)}; give two batches "
            "(B,C,H,W) of the same shape"
        )
