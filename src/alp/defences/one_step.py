"""One-step denoising: noise the image, then predict the clean one at once."""

from __future__ import annotations

from typing import Any, final

from torch import nn

from alp.defences.base import DEFENCES
from alp.defences.chain import Chain
from alp.defences.diffusion import PURIFYING, Diffusion


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
