"""The latent noise: the learned Gaussian channel between encoder and decoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.config import PurifierConfig

NO_NOISE = -1000.0
"""The rho of a deterministic autoencoder: its softplus is 0 exactly, in float64 too, and unlike
-inf it survives the averaging of weights."""


class LatentNoise(nn.Module):
    """``z = mu + sigma * n`` with ``n ~ N(0, I)`` and ``sigma = softplus(rho)``.

    ``noise`` of the configuration chooses one learned scalar (the paper), one learned value per
    latent channel, or a constant. ``rho`` has the shape () or (C, 1, 1).
    """

    rho: Tensor

    def __init__(self, config: PurifierConfig) -> None:
        super().__init__()
        shape = (config.latent_channels, 1, 1) if config.noise == "per-channel" else ()
        rho = torch.full(shape, math.log(math.expm1(config.sigma)) if config.sigma else NO_NOISE)
        if config.noise == "fixed":
            self.register_buffer("rho", rho)
        else:
            self.rho = nn.Parameter(rho)

    @property
    def sigma(self) -> Tensor:
        """The noise level: () or (C, 1, 1), in the units of the latent."""
        return F.softplus(self.rho)

    def forward(self, mu: Tensor, source: seeding.Source, sigma: float | None = None) -> Tensor:
        """One draw: mu (B, C, h, w) -> z of the same shape.

        ``sigma`` overrides the noise level, for sweeps; 0 gives ``mu``.
        """
        noise = seeding.normal(mu.shape, source).to(mu)
        return mu + (self.sigma if sigma is None else sigma) * noise
