"""Gradients estimated from differences of answers, and the ascent along them: NES and SPSA."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from alp.attacks.asking import Asking
from alp.attacks.base import (
    ATTACKS,
    Source,
    Target,
    Threat,
    checked,
    require_count,
    require_size,
    step_length,
)
from alp.attacks.gradients import score
from alp.attacks.losses import LOSSES
from alp.config import require_number
from alp.errors import ConfigError, choose
from alp.seeding import normal, uniform

if TYPE_CHECKING:
    from torch import Tensor


def estimated(
    value: Callable[[Tensor], Tensor],
    point: Tensor,
    directions: Callable[[], Tensor],
    pairs: int,
    delta: float,
) -> Tensor:
    """The gradient of ``value`` (images to a number each) at ``point`` (B,3,H,W), like it: the mean
    over ``pairs`` of random directions u of u (f(x + delta u) - f(x - delta u)) / (2 delta), two
    questions each. What is asked is cut to [0,1], the box of the images."""
    import torch

    gradient = torch.zeros_like(point)
    for _ in range(pairs):
        direction = directions()
        above = value((point + delta * direction).clamp(0, 1))
        below = value((point - delta * direction).clamp(0, 1))
        slope = (above - below) / (2 * delta * pairs)
        gradient += slope.view(-1, 1, 1, 1) * direction
    return gradient


@dataclass(frozen=True)
class Estimating(Asking):
    """Steepest ascent with momentum along estimated gradients. A step takes two questions for each
    pair of opposite points."""

    queries: int = 1000
    """Questions about an image, at most; what is too little for a last step is left."""
    pairs: int = 10
    """Pairs of opposite points behind an estimate."""
    delta: float = 0.01
    """Distance of the points that are asked about, in units of a direction's entries."""
    step_size: float | None = None
    """Length of a step in the threat's norm; by default a quarter of the radius."""
    momentum: float = 0.9
    """Share of the direction before that a step keeps."""
    loss: str = "margin"
    """What the attack raises: ce (cross-entropy), margin or dlr."""

    def __post_init__(self) -> None:
        require_count("queries", self.queries)
        require_count("pairs", self.pairs)
        if self.queries < 2 * self.pairs:
            raise ConfigError(
                f"queries is {self.queries}, and an estimate of {self.pairs} pairs takes "
                f"{2 * self.pairs}; give more queries or fewer pairs"
            )
        require_size("delta", self.delta, zero=False)
        if self.step_size is not None:
            require_size("step_size", self.step_size, zero=False)
        require_number("momentum", self.momentum, 0, 1)
        if self.momentum == 1:
            raise ConfigError("momentum is 1, which never takes a new direction; give less, as 0.9")
        choose(LOSSES, self.loss, "loss")

    @property
    def steps(self) -> int:
        """How many whole steps the questions allow."""
        return self.queries // (2 * self.pairs)

    @property
    def calls(self) -> tuple[int, int]:
        """No gradient, and two questions for each pair of a step."""
        return 0, 2 * self.pairs * self.steps

    def within(self, questions: int) -> Self | None:
        """With ``questions`` about an image; None where one estimate takes more."""
        return replace(self, queries=questions) if questions >= 2 * self.pairs else None

    @abstractmethod
    def direction(self, x: Tensor, source: Source) -> Tensor:
        """Random directions like ``x``, whose entries are uncorrelated and of variance 1."""

    def search(
        self,
        target: Target,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        source: Source,
        start: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """The points after each step, from ``start``, by default the images.

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used.
        """
        import torch

        x = checked(x, y)
        loss = LOSSES[self.loss]
        point = x if start is None else start
        moving = torch.zeros_like(x)
        size = step_length(self.step_size, threat)
        yield point
        for _ in range(self.steps):
            gradient = estimated(
                lambda asked: score(target, asked, y, loss),
                point,
                lambda: self.direction(x, source),
                self.pairs,
                self.delta,
            )
            moving = self.momentum * moving + (1 - self.momentum) * gradient
            point = threat.project(threat.step(point, moving, size), x)
            yield point


@ATTACKS.register("nes", order=7)
@dataclass(frozen=True)
class NES(Estimating):
    """Natural evolution strategies (Ilyas et al. 2018, section 2.2 and algorithm 1): opposite pairs
    of Gaussian directions, then projected steps with momentum as in their program."""

    def direction(self, x: Tensor, source: Source) -> Tensor:
        """Gaussian directions like ``x``."""
        return normal(x.shape, source).to(x)


@ATTACKS.register("spsa", order=8)
@dataclass(frozen=True)
class SPSA(Estimating):
    """Simultaneous perturbation (Spall 1992; Uesato et al. 2018, section 4.1): directions of random
    signs. Differing from Uesato et al., the steps are those of NES, and not Adam's."""

    def direction(self, x: Tensor, source: Source) -> Tensor:
        """Directions of random signs like ``x``."""
        import torch

        signs: Tensor = torch.where(uniform(x.shape, source) < 0.5, -1.0, 1.0).to(x)
        return signs
