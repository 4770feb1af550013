"""PGD: projected steepest ascent from random starts.

The projected ascent that the iterative attacks share.

BIM: small steps from the image itself.

FGSM: one step of the whole radius from the image itself.

N-FGSM: one step from a noisy image, not brought back into the ball; for training.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

from alp.attacks import resumable
from alp.attacks.base import (
    ATTACKS,
    Loss,
    Source,
    Target,
    Threat,
    checked,
    require_count,
    require_size,
    step_length,
)
from alp.attacks.gradients import input_gradient, score
from alp.attacks.losses import LOSSES
from alp.errors import choose

if TYPE_CHECKING:
    from torch import Tensor


def ascend(
    target: Target,
    start: Tensor,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    steps: int,
    size: float,
    loss: Loss,
) -> Tensor:
    """``steps`` times: a steepest-ascent step of length ``size``, projected to the threat around
    ``x``. Madry et al. 2018, equation in section 2.1. Calls the target ``steps`` times."""
    state = SimpleNamespace(point=start)
    for _ in resumable.steps(steps, state):
        gradient, _ = input_gradient(target, state.point, y, loss)
        state.point = threat.project(threat.step(state.point, gradient, size), x)
    point: Tensor = state.point
    return point


@ATTACKS.register("pgd", order=2)
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


@ATTACKS.register("bim", order=1)
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


@ATTACKS.register("fgsm", order=0)
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


@ATTACKS.register("nfgsm", order=6)
@dataclass(frozen=True)
class NFGSM:
    """Noise-FGSM (de Jorge et al. 2022, algorithm 1): uniform noise of ``noise`` eps, then one
    step of ``step`` eps from the noisy image, without a projection to the ball.

    The noise counts as augmentation, and not clipping it away is what prevents catastrophic
    overfitting at the cost of one gradient. Its points lie up to (noise + step) eps away: it is
    made for training, and its success says nothing about robustness at eps.
    """

    training = True

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
