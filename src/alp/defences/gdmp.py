"""GDMP: short diffusions, one after another, each guided back to the image it started from."""

from __future__ import annotations

from typing import Any, final

from torch import nn

from alp.config import require_number
from alp.defences.base import DEFENCES
from alp.defences.chain import Chain
from alp.defences.diffusion import Diffusion

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

        Raises:
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
        )

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "time": self.time,
            "steps": self.steps,
            "rounds": self.rounds,
            "guidance": self.guidance,
            "gradient_steps": self.gradient_steps,
        }
