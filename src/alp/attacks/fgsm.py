"""FGSM: one step of the whole radius from the image itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp.attacks.base import Source, Target, Threat, checked
from alp.attacks.iterate import ascend
from alp.attacks.losses import LOSSES
from alp.errors import choose

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FGSM:
    """Fast gradient sign method (Goodfellow et al. 2015, equation in section 4); in L2 the fast
    gradient method, a step of length eps along the gradient. It draws nothing."""

    loss: str = "ce"
    """What the attack raises: ce (cross-entropy), margin or dlr."""

    def __post_init__(self) -> None:
        choose(LOSSES, self.loss, "loss")

    @property
    def calls(self) -> tuple[int, int]:
        """One gradient."""
        return 1, 0

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """Adversarial images like ``x``, (B,3,H,W) in [0,1]; one call of the target.

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used.
        """
        x = checked(x, y)
        loss = LOSSES[self.loss]
        return ascend(target, x, x, y, threat, steps=1, size=threat.eps, loss=loss)
