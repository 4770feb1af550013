"""DensePure: a denoised classifier to be smoothed, which decides by a majority over seeds."""

from __future__ import annotations

from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.config import require_number
from alp.defences.base import DEFENCES, Deterministic, classify, straight_through
from alp.defences.chain import ddpm, schedule
from alp.defences.diffusion import Diffusion, deviation
from alp.defences.preprocessed import classifier_of, describe_before
from alp.errors import ConfigError

SEEDS = 100
"""Most seeds of a vote."""


@final
@DEFENCES.register("densepure")
class DensePure(Deterministic):
    """The base of a smoothed classifier: images under Gaussian noise of ``sigma`` are denoised by a
    reverse diffusion of few steps, once for each seed, and the seeds vote (Xiao et al. 2023,
    "DensePure", section 3; one seed and one step are the denoised smoothing of Carlini et al.
    2023). The seeds are fixed and the same for all images, so that the vote is a function of the
    noisy image and ``Smoothed(base, sigma)`` can certify it. On images without noise it means
    nothing.

    It answers with the counts of the votes. Attackers get the gradient of the mean logits.
    """

    surrogate = "mean logits in place of votes"

    def __init__(
        self,
        classifier: nn.Module,
        diffusion: Diffusion,
        sigma: float = 0.25,
        steps: int = 2,
        seeds: int = 5,
    ) -> None:
        """Put a denoiser in front of a classifier.

        Args:
            classifier: images (B,3,H,W) in [0,1] -> logits (B,K), in evaluation mode.
            diffusion: the noise predictor.
            sigma: standard deviation of the smoothing's noise, on images in [0,1].
            steps: steps of the reversal.
            seeds: how many reversals vote.

        Raises:
            ConfigError: a number is out of range, or the model is not trained for so much noise.
        """
        super().__init__()
        require_number("DensePure's sigma", sigma, 0, above=True)
        require_number("DensePure's seeds", seeds, 1, SEEDS, whole=True)
        self.time = time_of(sigma, diffusion)
        require_number("DensePure's steps", steps, 1, self.time, whole=True)
        self.classifier = classifier
        self.diffusion = diffusion
        self.level, self.steps, self.seeds = float(sigma), steps, seeds
        self.training = classifier.training

    @property
    def settings(self) -> dict[str, Any]:
        return {"sigma": self.level, "steps": self.steps, "seeds": self.seeds}

    def answer(self, x: Tensor) -> Tensor:
        logits = torch.stack([self._classified(x, seed) for seed in range(self.seeds)])
        votes = F.one_hot(logits.argmax(2), logits.shape[2]).sum(0).to(logits)
        return straight_through(votes, logits.mean(0))

    def _classified(self, x: Tensor, seed: int) -> Tensor:
        """Logits (B,K) of the noisy images denoised with the noise of one seed."""
        # On the CPU: the same noise on every device.
        source = seeding.Common(seeding.generator(0, "densepure", seed))
        signal = self.diffusion.signal
        z = signal[self.time].sqrt() * (2 * x - 1)
        for t, s in schedule(self.time, self.steps):
            times = torch.full((len(x),), t, device=x.device)
            noise = seeding.normal(x.shape, source).to(x)
            z = ddpm(z, self.diffusion.predict(z, times), noise, signal[t], signal[s])
        return classify(self.classifier, ((z + 1) / 2).clamp(0, 1))

    def describe(self) -> dict[str, Any]:
        described = describe_before(self, self.classifier)
        return described | {"diffusion": self.diffusion.describe()}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(
            classifier_of(description),
            Diffusion.from_description(description["diffusion"]),
            **description["settings"],
        )


def time_of(sigma: float, diffusion: Diffusion) -> int:
    """The time whose noise, relative to the signal, is nearest to ``sigma`` on images in [0,1].

    Raises:
        ConfigError: the model is not trained for so much noise.
    """
    horizon = diffusion.config.horizon
    if sigma > deviation(horizon):
        raise ConfigError(
            f"sigma is {sigma:g}, and the diffusion model is trained up to {deviation(horizon):.3f}"
            f" (the time {horizon}); give a smaller sigma, or train one with a longer horizon"
        )
    return min(range(1, horizon + 1), key=lambda time: abs(deviation(time) - sigma))
