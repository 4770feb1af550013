"""The rate-distortion objective that gives sigma an interior optimum.

Mean squared error alone drives sigma to zero, since noise only hurts it. The rate is what a
Gaussian channel carries: KL(N(mu, sigma^2 I) || N(0, I)), the rate term of the variational
autoencoder (Kingma and Welling 2014, appendix B), here with one sigma for all positions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def rate(mu: Tensor, sigma: Tensor) -> Tensor:
    """KL(N(mu, sigma^2 I) || N(0, I)) in nats for each image: mu (B, C, h, w) -> (B,)."""
    variance = sigma.square()
    nats = (mu.square() + variance - 1 - variance.log()) / 2
    return nats.flatten(1).sum(1)


def distortion(x: Tensor, image: Tensor) -> Tensor:
    """Mean squared error for each image: (B, 3, H, W) twice -> (B,)."""
    return (x - image).square().flatten(1).mean(1)


def target_mse(psnr: float) -> float:
    """The mean squared error on [0,1] of a peak signal-to-noise ratio in dB."""
    return 10 ** (-psnr / 10)


def update_multiplier(log_multiplier: Tensor, mse: Tensor, target: float, step: float) -> Tensor:
    """One step of the multiplier of ``distortion <= target``, both scalars.

    The multiplier rises in log space while the constraint is violated and falls while it is
    slack, at most by ``step`` (Rezende and Viola 2018, "Taming VAEs", algorithm 1, with the
    logarithm of the violation, which has no scale).
    """
    violation = (mse.log() - math.log(target)).clamp(-1, 1)
    return torch.clamp(log_multiplier + step * violation, -10, 10)
