"""Purification by a diffusion model: DiffPure in many small steps, GDMP in guided rounds, and
one-step denoising."""

from __future__ import annotations

from typing import Any, final

from torch import nn

from alp.config import require_number
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
        precision: str = "float32",
    ) -> None:
        """Put a diffusion model in front of a classifier.

        Args:
            classifier: images (B,3,H,W) in [0,1] -> logits (B,K).
            diffusion: the noise predictor.
            time: how far the image is noised, of 1000.
            steps: steps of the deployed chain.
            sampler: ``ddpm`` (ancestral) or ``vp-sde`` (Euler and Maruyama).
            gradient_steps: steps of the chain that attackers see; ``steps`` for the exact one.
            precision: what the noise is predicted in, float32 or bfloat16.

        Raises:
            UnknownNameError: no such sampler or precision.
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
            precision=precision,
        )

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "time": self.time,
            "steps": self.steps,
            "sampler": self.sampler,
            "gradient_steps": self.gradient_steps,
            "precision": self.precision,
        }


GUIDANCE = 18.7
"""The authors' scale of 60,000 on CIFAR-10, as a factor of half the squared distance of an image:
their distance is a mean over 100 images of 3,072 values, their step divides by a third of eps."""


@final
@DEFENCES.register("gdmp")
class GDMP(Chain):
    """Purify in rounds of a short diffusion; each step is drawn to the noised image (Wang et al.
    2022, "Guided diffusion model for adversarial purification", algorithm 1, with the squared
    error): z_s -= guidance * variance * sqrt((1 - alpha_bar_t) / alpha_bar_t) * (z_t - x_t). The
    gradient of the distance is in closed form, so that attackers differentiate the guidance too.
    """

    def __init__(
        self,
        classifier: nn.Module,
        diffusion: Diffusion,
        time: int = 36,
        steps: int = 36,
        rounds: int = 4,
        guidance: float = GUIDANCE,
        gradient_steps: int = 2,
        precision: str = "float32",
    ) -> None:
        """Put a guided diffusion model in front of a classifier.

        Args:
            classifier: images (B,3,H,W) in [0,1] -> logits (B,K).
            diffusion: the noise predictor.
            time: how far the image is noised in each round, of 1000.
            steps: steps of a deployed round.
            rounds: how many rounds.
            guidance: strength of the guidance; 0 for none.
            gradient_steps: steps of a round that attackers see; ``steps`` for the exact one.
            precision: what the noise is predicted in, float32 or bfloat16.

        Raises:
            UnknownNameError: no such precision.
            ConfigError: a number is out of range, or the model is not trained for ``time``.
        """
        require_number("the rounds of GDMP", rounds, 1, 100, whole=True)
        require_number("the guidance of GDMP", guidance, 0)
        super().__init__(
            classifier,
            diffusion,
            time=time,
            steps=steps,
            rounds=rounds,
            guidance=guidance,
            gradient_steps=gradient_steps,
            precision=precision,
        )

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "time": self.time,
            "steps": self.steps,
            "rounds": self.rounds,
            "guidance": self.guidance,
            "gradient_steps": self.gradient_steps,
            "precision": self.precision,
        }


@final
@DEFENCES.register("one-step")
class OneStep(Chain):
    """Noise the image up to a time, then predict the clean image in one step (Carlini et al. 2023,
    "(Certified!!) adversarial robustness for free!", algorithm 1, with one vote). Attackers get
    its exact gradient."""

    def __init__(self, classifier: nn.Module, diffusion: Diffusion, time: int = PURIFYING) -> None:
        """``time``: how far the image is noised, of 1000.

        Raises:
            ConfigError: the model is not trained for ``time``.
        """
        super().__init__(classifier, diffusion, time=time, steps=1, gradient_steps=1)

    @property
    def settings(self) -> dict[str, Any]:
        return {"time": self.time}
