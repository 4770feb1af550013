"""BIM: small steps from the image itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp.attacks.base import (
    Source,
    Target,
    Threat,
    checked,
    require_count,
    require_size,
    step_length,
)
from alp.attacks.iterate import ascend
from alp.attacks.losses import LOSSES
from alp.errors import choose

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class BIM:
    """Basic iterative method (Kurakin et al. 2017, section 2.2): projected steepest ascent from
    the clean image. It draws nothing."""

    steps: int = 10
    """Number of gradient steps."""
    step_size: float | None = None
    """Length of a step in the threat's norm; None takes eps/4."""
    loss: str = "ce"
    """What the attack raises: ce (cross-entropy), margin or dlr."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        if self.step_size is not None:
            require_size("step_size", self.step_size, zero=False)
        choose(LOSSES, self.loss, "loss")

    @property
    def calls(self) -> tuple[int, int]:
        """A gradient a step."""
        return self.steps, 0

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """Adversarial images like ``x``, (B,3,H,W) in [0,1]; ``steps`` calls of the target.

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used.
        """
        x = checked(x, y)
        size = step_length(self.step_size, threat)
        loss = LOSSES[self.loss]
        return ascend(target, x, x, y, threat, steps=self.steps, size=size, loss=loss)
