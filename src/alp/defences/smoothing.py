"""Gaussian noise on the pixels in front of a classifier, with mean logits or with votes."""

from __future__ import annotations

from typing import Any, Self, final

import torch
from torch import Tensor, nn

from alp import seeding
from alp.config import require_number
from alp.defences.base import DEFENCES, Defence, classify, counted
from alp.defences.heads import describe_head, head_of
from alp.defences.preprocessed import Preprocessed
from alp.defences.pretrained import Pretrained
from alp.defences.purified import DRAWS


class PixelNoise(Defence):
    """Gaussian noise on the pixels, of one level."""

    _sigma: float

    @property
    def sigma(self) -> float:
        return self._sigma

    def at_sigma(self, sigma: float) -> Self:
        """The same classifier at another noise level.

        Raises:
            ConfigError: ``sigma`` is no finite number above zero.
        """
        other = self._twin()
        other._sigma = noise_level(sigma)
        return other


@final
@DEFENCES.register("input-noise")
class InputNoise(Pretrained, PixelNoise):
    """x (B, 3, H, W) in [0,1] -> logits (B, K): the mean of the classifier's logits over draws of
    ``x + sigma * n``, ``n ~ N(0, I)`` (randomised smoothing's noise; Cohen et al. 2019, section 3).

    The control that shows what a purifier adds to noise on the pixels. ``sigma`` is in pixel units.
    Without ``source`` the draws are seeded by the operating system.
    """

    def __init__(self, classifier: nn.Module, sigma: float, draws: int = DRAWS) -> None:
        super().__init__()
        self.classifier = classifier
        self._sigma = noise_level(sigma)
        self.draws = counted(draws)
        self.training = classifier.training

    def sample(self, state: Tensor, source: seeding.Source, draws: int = 1) -> Tensor:
        """Images (B, 3, H, W) -> logits (draws, B, K)."""
        shape = state.shape
        noisy = [state + self.sigma * seeding.normal(shape, source).to(state) for _ in range(draws)]
        logits = classify(self.classifier, torch.cat(noisy))
        return logits.view(draws, len(state), logits.shape[-1])

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "input-noise",
            "sigma": self.sigma,
            "draws": self.draws,
            **describe_head(self.classifier),
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(head_of(description), description["sigma"], description["draws"])


CHUNK = 1000
"""Images that the classifier sees at a time, as in the authors' evaluation."""


@final
@DEFENCES.register("smoothing")
class RandomisedSmoothing(PixelNoise, Preprocessed):
    """The most frequent decision under Gaussian noise of the input (Cohen et al. 2019, PREDICT):
    the counts of each class stand for its logits. Attackers get the logits behind the votes."""

    surrogate = "mean logits in place of votes"

    def __init__(self, classifier: nn.Module, sigma: float = 0.25, draws: int = 100) -> None:
        """``sigma``: standard deviation of the noise, on images in [0,1]; ``draws``: votes (the
        authors' prediction takes 100, their certificate 100,000).

        Raises:
            ConfigError: a setting is not above zero.
        """
        super().__init__(classifier, draws)
        self._sigma = noise_level(sigma)

    @property
    def settings(self) -> dict[str, Any]:
        return {"draws": self.draws, "sigma": self.sigma}

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        return x + self.sigma * seeding.normal(x.shape, source).to(x)

    def predict(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """How many of the votes each class gets, (B,K)."""
        many = x.repeat(draws, 1, 1, 1)
        noisy = many + self.sigma * seeding.normal(many.shape, source).to(x)
        parts = [classify(self.classifier, part) for part in torch.split(noisy, CHUNK)]
        logits = torch.cat(parts).view(draws, len(x), -1)
        cast = torch.zeros_like(logits).scatter_(2, logits.argmax(2, keepdim=True), 1)
        return cast.sum(0)


def noise_level(sigma: float) -> float:
    """``sigma``, if it is a noise level.

    Raises:
        ConfigError: it is no finite number above zero.
    """
    require_number("sigma", sigma, 0, above=True)
    return float(sigma)
