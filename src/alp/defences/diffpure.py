"""DiffPure: noise the image, then reverse the diffusion in many small steps."""

from __future__ import annotations

from typing import Any, final

from torch import nn

from alp.defences.base import DEFENCES
from alp.defences.chain import SAMPLERS, Chain, Sampler
from alp.defences.diffusion import PURIFYING, Diffusion
from alp.errors import choose

GRADIENT_STEPS = 5
"""Steps of the shorter chain that attackers differentiate."""


@final
@DEFENCES.register("diffpure")
class DiffPure(Chain):
    """Noise the image up to a time, then denoise it step by step (Nie et al. 2022, "Diffusion
    models for adversarial purification"; CIFAR-10: t* = 0.1, which is the time 100 of 1000)."""

    def __init__(
        self,
        classifier: nn.Module,
        diffusion: Diffusion,
        time: int = PURIFYING,
        steps: int = 100,
        sampler: Sampler = "ddpm",
        gradient_steps: int = GRADIENT_STEPS,
    ) -> None:
        """Put a diffusion model in front of a classifier.

        Args:
            classifier: images (B,3,H,W) in [0,1] -> logits (B,K).
            diffusion: the noise predictor.
            time: how far the image is noised, of 1000.
            steps: steps of the deployed chain.
            sampler: ``ddpm`` (ancestral) or ``vp-sde`` (Euler and Maruyama).
            gradient_steps: steps of the chain that attackers see; ``steps`` for the exact one.

        Raises:
            UnknownNameError: no such sampler.
            ConfigError: a number is out of range, or the model is not trained for ``time``.
        """
        choose(SAMPLERS, sampler, "sampler")
        super().__init__(
            classifier,
            diffusion,
            time=time,
            steps=steps,
            sampler=sampler,
            gradient_steps=gradient_steps,
        )

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "time": self.time,
            "steps": self.steps,
            "sampler": self.sampler,
            "gradient_steps": self.gradient_steps,
        }
