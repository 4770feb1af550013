"""N-FGSM: one step from a noisy image, not brought back into the ball; for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp.attacks.base import Source, Target, Threat, checked, require_size
from alp.attacks.gradients import input_gradient
from alp.attacks.losses import LOSSES
from alp.errors import choose

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NFGSM:
    """Noise-FGSM (de Jorge et al. 2022, algorithm 1): uniform noise of ``noise`` eps, then one
    step of ``step`` eps from the noisy image, without a projection to the ball.

    The noise counts as augmentation, and not clipping it away is what prevents catastrophic
    overfitting at the cost of one gradient. Its points lie up to (noise + step) eps away: it is
    made for training, and its success says nothing about robustness at eps.
    """

    noise: float = 2.0
    """Radius of the uniform noise, in multiples of the threat's eps."""
    step: float = 1.0
    """Length of the step, in multiples of the threat's eps."""
    loss: str = "ce"
    """What the attack raises: ce (cross-entropy), margin or dlr."""

    def __post_init__(self) -> None:
        require_size("noise", self.noise, zero=True)
        require_size("step", self.step, zero=False)
        choose(LOSSES, self.loss, "loss")

    @property
    def calls(self) -> tuple[int, int]:
        """One gradient."""
        return 1, 0

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """Training images like ``x``, (B,3,H,W) in [0,1]; one call of the target.

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used.
        """
        x = checked(x, y)
        noisy = threat.random_start(x, source, self.noise)
        gradient, _ = input_gradient(target, noisy, y, LOSSES[self.loss])
        return threat.step(noisy, gradient, self.step * threat.eps).clamp(0, 1)
