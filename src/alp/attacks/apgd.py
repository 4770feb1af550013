"""Auto-PGD: projected ascent with momentum and a step that shrinks when progress stalls."""

from __future__ import annotations

import math
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
)
from alp.attacks.gradients import input_gradient, score
from alp.attacks.losses import LOSSES
from alp.errors import ConfigError, choose

if TYPE_CHECKING:
    from torch import Tensor

_MOMENTUM = 0.75  # alpha: the share of the ascent step; the rest repeats the last move


@ATTACKS.register("apgd", order=3)
@dataclass(frozen=True)
class APGD:
    """Auto-PGD (Croce and Hein 2020, section 3), from uniform random starts in the threat.

    A random target is attacked by its mean loss over the draws of a call, which the control of
    the step counts too. What it remembers as the best point's value is a lucky draw, which no
    later point would beat: at each checkpoint that point is scored on fresh draws.
    """

    steps: int = 100
    """Number of gradient steps from each start."""
    restarts: int = 1
    """Number of random starts; each image keeps its point of highest loss."""
    loss: str = "ce"
    """What the attack raises: ce (cross-entropy), margin or dlr."""
    rho: float = 0.75
    """Share of the steps between two checkpoints that have to raise the loss; with fewer, the
    step is halved."""

    def __post_init__(self) -> None:
        require_count("steps", self.steps)
        require_count("restarts", self.restarts)
        choose(LOSSES, self.loss, "loss")
        require_size("rho", self.rho, zero=False)
        if self.rho > 1:
            raise ConfigError(f"rho is {self.rho!r}; give a share of at most 1, such as 0.75")

    @property
    def calls(self) -> tuple[int, int]:
        """A gradient a step and one at each start, and a score a checkpoint."""
        return self.restarts * (self.steps + 1), self.restarts * len(checkpoints(self.steps))

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """Adversarial images like ``x``, (B,3,H,W) in [0,1].

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used.
        """
        x = checked(x, y)
        loss = LOSSES[self.loss]
        state = SimpleNamespace(best=x, value=x.new_full((len(x),), -math.inf))
        for _ in resumable.steps(self.restarts, state):
            start = threat.random_start(x, source)
            point, value = climb(
                target, start, x, y, threat, steps=self.steps, rho=self.rho, loss=loss
            )
            better = value > state.value
            state.best = _pick(better, point, state.best)
            state.value = value.where(better, state.value)
        best: Tensor = state.best
        return best


def checkpoints(steps: int) -> list[int]:
    """The steps at which the control looks at the progress: ceil(p_j N) with p_1 = 0.22 and
    p_(j+1) = p_j + max(p_j - p_(j-1) - 0.03, 0.06), and the last step.

    Croce and Hein 2020, section 3.1; in hundredths, so that no rounding moves one.
    """
    marks, share, period = {steps}, 22, 22
    while share < 100:
        marks.add(-(-share * steps // 100))
        period = max(period - 3, 6)
        share += period
    return sorted(marks)


def climb(
    target: Target,
    start: Tensor,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    *,
    steps: int,
    rho: float,
    loss: Loss,
) -> tuple[Tensor, Tensor]:
    """The best point of one ascent from ``start``, and its loss (B,).

    Croce and Hein 2020, algorithm 1. The step starts at 2 eps. At a checkpoint it is halved, image
    by image, and the ascent goes on from the best point, where (1) fewer than ``rho`` of the steps
    since the last checkpoint raised the loss, or (2) neither the step nor the best value has
    changed since. Of a random target each best value compared there is a fresh score.
    """
    import torch

    gradient, value = input_gradient(target, start, y, loss)
    size = x.new_full((len(x), 1, 1, 1), 2 * threat.eps)
    at = SimpleNamespace(
        point=start,
        previous=start,
        gradient=gradient,
        value=value,
        best=start,
        best_gradient=gradient,
        best_value=value,
        size=size,
        last_size=size,
        last_best=value,
        rises=torch.zeros_like(value),
    )
    marks = checkpoints(steps)
    for number in resumable.steps(steps, at):
        step = number + 1
        # A step of unit length from zero is the direction, which each image scales by its own size.
        direction = threat.step(torch.zeros_like(x), at.gradient, 1.0)
        ascent = threat.project(at.point + at.size * direction, x) - at.point
        share = _MOMENTUM if step > 1 else 1.0
        move = share * ascent + (1 - share) * (at.point - at.previous)
        at.previous, at.point = at.point, threat.project(at.point + move, x)
        before = at.value
        at.gradient, at.value = input_gradient(target, at.point, y, loss)
        at.rises = at.rises + (at.value > before)
        if step in marks:
            at.best_value = score(target, at.best, y, loss)
        higher = at.value > at.best_value
        at.best = _pick(higher, at.point, at.best)
        at.best_gradient = _pick(higher, at.gradient, at.best_gradient)
        at.best_value = at.value.where(higher, at.best_value)
        if step in marks:
            last = max((mark for mark in marks if mark < step), default=0)
            unchanged = (at.size == at.last_size).flatten() & (at.best_value <= at.last_best)
            stalled = (at.rises < rho * (step - last)) | unchanged
            at.last_size, at.last_best = at.size, at.best_value
            at.size = _pick(stalled, at.size / 2, at.size)
            at.point = _pick(stalled, at.best, at.point)
            at.gradient = _pick(stalled, at.best_gradient, at.gradient)
            at.value = at.best_value.where(stalled, at.value)
            at.rises = torch.zeros_like(at.value)
    return at.best, at.best_value


def _pick(mask: Tensor, this: Tensor, other: Tensor) -> Tensor:
    """``this`` for the images where ``mask`` (B,) holds, ``other`` elsewhere."""
    return this.where(mask.view(-1, 1, 1, 1), other)
