"""PGD: projected steepest ascent from random starts."""

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
from alp.attacks.gradients import score
from alp.attacks.iterate import ascend
from alp.attacks.losses import LOSSES
from alp.errors import choose

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PGD:
    """Projected gradient descent on the negative loss (Madry et al. 2018, section 2.1), from a
    uniform random start in the threat."""

    steps: int = 7
    """Number of gradient steps from each start."""
    step_size: float | None = None
    """Length of a step in the threat's norm; None takes eps/4, 2/255 at eps 8/255."""
    restarts: int = 1
    """Number of random starts; each image keeps its end point of highest loss."""
    loss: str = "ce"
    """What the attack raises: ce (cross-entropy), margin or dlr."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        require_count("restarts", self.restarts)
        if self.step_size is not None:
            require_size("step_size", self.step_size, zero=False)
        choose(LOSSES, self.loss, "loss")

    @property
    def calls(self) -> tuple[int, int]:
        """A gradient a step, and a score an end point where there are several."""
        return self.steps * self.restarts, self.restarts if self.restarts > 1 else 0

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """Adversarial images like ``x``, (B,3,H,W) in [0,1].

        Calls the target ``steps`` times a start, and once more to score its end points where
        there are several starts. A random target scores them on one draw each.

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used.
        """
        x = checked(x, y)
        best = self._from_random_start(target, x, y, threat, source)
        if self.restarts == 1:
            return best
        loss = LOSSES[self.loss]
        best_value = score(target, best, y, loss)
        for _ in range(self.restarts - 1):
            point = self._from_random_start(target, x, y, threat, source)
            value = score(target, point, y, loss)
            better = value > best_value
            best = point.where(better.view(-1, 1, 1, 1), best)
            best_value = value.where(better, best_value)
        return best

    def _from_random_start(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        start = threat.random_start(x, source)
        size = step_length(self.step_size, threat)
        loss = LOSSES[self.loss]
        return ascend(target, start, x, y, threat, steps=self.steps, size=size, loss=loss)
