"""Noise at the input instead of the latent: the control that shows what the purifier is worth."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from alp import seeding
from alp.errors import ConfigError
from alp.models.defended import DRAWS, GROUP, counted
from alp.models.pretrained import Pretrained


class InputNoise(Pretrained, nn.Module):
    """x (B, 3, H, W) in [0,1] -> logits (B, K): the mean of the classifier's logits over draws of
    ``x + sigma * n``, ``n ~ N(0, I)`` (randomised smoothing's noise; Cohen et al. 2019, section 3).

    ``sigma`` is in pixel units. Without ``source`` the draws are seeded by the operating system.
    It offers the two halves that an evaluation shares out over draws, though its first does
    nothing.
    """

    def __init__(self, classifier: nn.Module, sigma: float, draws: int = DRAWS) -> None:
        super().__init__()
        if (
            isinstance(sigma, bool)
            or not isinstance(sigma, int | float)
            or not 0 < sigma < math.inf
        ):
            raise ConfigError(f"sigma is {sigma!r}; give a finite number above zero")
        self.classifier = classifier
        self.sigma = float(sigma)
        self.draws = counted(draws)

    def encode(self, x: Tensor) -> Tensor:
        """The deterministic half: the images themselves."""
        return x

    def decode_classify(
        self, x: Tensor, source: seeding.Source, size: tuple[int, int], *, draws: int = 1
    ) -> Tensor:
        """The random half: images (B, 3, *size) -> logits (draws, B, K)."""
        noisy = [x + self.sigma * seeding.normal(x.shape, source).to(x) for _ in range(draws)]
        logits: Tensor = self.classifier(torch.cat(noisy))
        return logits.view(draws, len(x), logits.shape[-1])

    def forward(
        self, x: Tensor, source: seeding.Source | None = None, *, draws: int | None = None
    ) -> Tensor:
        """Mean logits over ``draws`` (as constructed, unless given).

        Raises:
            ConfigError: ``draws`` is no number of draws.
        """
        source = seeding.entropy(x.device) if source is None else source
        left = self.draws if draws is None else counted(draws)
        parts = []
        while left > 0:
            now = min(left, max(1, GROUP // len(x)))
            parts.append(self.decode_classify(x, source, (x.shape[-2], x.shape[-1]), draws=now))
            left -= now
        return torch.cat(parts).mean(0)
