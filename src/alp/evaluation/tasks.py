"""The tasks of an evaluation, each of which can be done, and kept, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from alp import seeding
from alp.attacks import Attack, Threat, expected, resumable
from alp.data.quality import WINDOW, psnr, ssim
from alp.errors import ConfigError
from alp.evaluation.knowledge import KNOWLEDGE
from alp.evaluation.verdict import outcomes

if TYPE_CHECKING:
    from alp.defences.base import Defence


def generate(
    defence: Defence,
    level: str,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    attack: Attack,
    *,
    seed: int,
    batch: int,
    name: str | None = None,
    draws: int = 1,
    objective: str = "loss",
) -> Tensor:
    """``x`` (B,3,H,W) attacked by an attacker who knows ``level`` of ``defence``.

    The attacker averages ``draws`` draws of the defence by ``objective`` at each call. The
    attack's draws and the defence's, as the attacker sees them, are a function of ``seed``,
    ``name`` (by default ``level``) and ``batch``: whoever calls this for a batch of an evaluation
    gets the very images that the evaluation judged.

    Raises:
        ConfigError: the attack leaves the threat's ball or [0,1], or needs a gradient that the
            defence does not have.
    """
    if not defence.differentiable and attack.calls[0]:
        raise ConfigError(
            f"the target gives answers only, and {attack} needs its gradient; attack it with one "
            "that asks, such as square at the level score"
        )
    name = name or level
    noise = seeding.generator(seed, f"draw/{name}", batch, device=x.device)
    source = seeding.generator(seed, f"attack/{name}", batch, device=x.device)
    target = expected(KNOWLEDGE[level](defence, noise, draws), objective)
    with resumable.drawing_from(noise, source):
        x_adv = attack(target, x, y, threat, source)
    require_inside(x_adv, threat.distance(x_adv, x), threat, attack)
    return x_adv


def require_inside(x_adv: Tensor, distance: Tensor, threat: Threat, attack: Attack) -> None:
    """Rounding aside, the attack has to keep to the budget that its result is quoted for."""
    farthest = float(distance.max())
    if not farthest <= threat.eps * (1 + 1e-4) + 1e-6:
        raise ConfigError(
            f"the attack {attack} went {farthest:.4g} far, outside {threat}; "
            "evaluate with one that keeps to the threat, such as pgd"
        )
    low, high = x_adv.aminmax()
    if not (low >= 0 and high <= 1):
        raise ConfigError(
            f"the attack {attack} made pixels from {float(low):.4g} to {float(high):.4g}; "
            "evaluate with one that keeps to [0,1], such as pgd"
        )


Part = dict[str, NDArray[Any]]
"""The columns that a task makes of a batch."""


@dataclass(frozen=True)
class Context:
    """What all tasks of an evaluation share."""

    defence: Defence
    """The target."""
    surrogates: Mapping[str, Defence]
    """Other models by name."""
    threat: Threat
    """The attacker's ball."""
    seed: int
    """Seed of all randomness."""

    def right(
        self, x: Tensor, y: Tensor, point: str, batch: int, rounds: int, *, attacked: bool = False
    ) -> Tensor:
        """How many of ``rounds`` predictions of ``x`` are right, (B,), on draws of their own. An
        image that the defence rejects is right ``attacked`` and wrong clean (Meng and Chen 2017,
        section 5)."""
        return self.judged(x, y, point, batch, rounds, attacked=attacked)[0]

    def judged(
        self, x: Tensor, y: Tensor, point: str, batch: int, rounds: int, *, attacked: bool = False
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`right`, and the mean confidence of the predictions, (B,); NaN for an image
        that the defence rejects."""
        right, confidence = outcomes(self.defence, x, y, self.seed, point, batch, rounds)
        if "rejects" not in self.defence.capabilities:
            return right, confidence
        with torch.no_grad():
            rejected = self.defence.rejects(x)
        right = right.masked_fill(rejected, rounds if attacked else 0)
        return right, confidence.masked_fill(rejected, math.nan)

    def purified(self, x: Tensor, batch: int) -> Tensor:
        """One purified draw of ``x``; the same noise whenever a batch of this number is asked."""
        source = seeding.generator(self.seed, "purify", batch, device=x.device)
        with torch.no_grad():
            return self.defence.purify(x, source)


class Judged(Protocol):
    """A plan whose points are predicted several times."""

    @property
    def evaluations(self) -> int:
        """Predictions that select, and again as many that judge."""


class Task(Protocol):
    """A part of an evaluation."""

    @property
    def name(self) -> str:
        """What is being done."""

    @property
    def images(self) -> int:
        """How many of the images it looks at, the first of them."""

    @property
    def after(self) -> int:
        """How many of the first tasks' columns it has to see."""

    @property
    def cost(self) -> tuple[float, float]:
        """Draws that an image takes, with a gradient and without one."""

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        """The columns of a batch."""


ALL = 2**62
"""More images than there are."""


def quality(x: Tensor, purified: Tensor) -> dict[str, Tensor]:
    """``psnr`` (dB) and ``ssim`` of purified images, each (B,); no SSIM (NaN) of images that are
    smaller than its window."""
    small = min(x.shape[-2:]) < WINDOW
    return {
        "psnr": psnr(x, purified),
        "ssim": torch.full((len(x),), math.nan) if small else ssim(x, purified),
    }


def as_columns(tensors: Mapping[str, Tensor]) -> Part:
    """Tensors (B,) as the columns of a part."""
    return {name: values.cpu().numpy() for name, values in tensors.items()}
