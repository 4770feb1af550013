"""What a check is: numbers measured per image, and an inequality that they have to keep.

A check looks for the ways in which an evaluation flatters a defence: attacks that get worse with
effort are a symptom of masked gradients (Athalye et al. 2018, section 3.1; Carlini et al. 2019,
section 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from alp import seeding
from alp.attacks import Attack, Target, Threat, expected, resumable
from alp.evaluation.knowledge import KNOWLEDGE
from alp.evaluation.suites import Probes, Suite
from alp.evaluation.verdict import counts
from alp.records import Columns as Columns
from alp.registry import Registry

if TYPE_CHECKING:
    from alp.defences.base import Defence

Names = Mapping[str, str]
"""Name of a column to the words that people use for it."""


@dataclass(frozen=True)
class Scene:
    """What a check looks at: one batch of an evaluation."""

    defence: Defence
    """The target."""
    threat: Threat
    """The attacker's ball."""
    probes: Probes
    """How thoroughly to look."""
    evaluations: int
    """Predictions by which a point is judged."""
    seed: int
    """Seed of the evaluation."""
    batch: int
    """Number of the batch."""

    def source(self, purpose: str, device: torch.device) -> Generator:
        """A generator for ``purpose``, the same whenever it is asked for."""
        return seeding.generator(self.seed, f"check/{purpose}", self.batch, device=device)

    def target(self, purpose: str, device: torch.device, level: str, draws: int) -> Target:
        """What an attacker of ``level`` calls, with draws of its own for ``purpose``."""
        return KNOWLEDGE[level](self.defence, self.source(f"draw/{purpose}", device), draws)

    def frozen(self, purpose: str, device: torch.device, defence: Defence | None = None) -> Target:
        """The mean logits (B,K) over a bank of draws, the same at every call that asks for as many
        images: a deterministic function. Of the scene's defence unless another is given."""
        asked = defence or self.defence

        def target(x: Tensor) -> Tensor:
            return asked.logits(x, self.source(f"draw/{purpose}", device), self.probes.draws)

        return expected(target, "logits")

    def attacked(
        self,
        purpose: str,
        attack: Attack,
        x: Tensor,
        y: Tensor,
        *,
        level: str = "eot",
        draws: int | None = None,
        threat: Threat | None = None,
    ) -> Tensor:
        """``x`` under an attack that averages the loss; ``draws`` and ``threat`` are the probes'
        and the evaluation's unless given. Attacks of one purpose start from the same points and
        meet the same draws, so that what differs is the attacks."""
        draws = self.probes.draws if draws is None else draws
        noise = self.source(f"draw/{purpose}", x.device)
        source = self.source(f"attack/{purpose}", x.device)
        target = KNOWLEDGE[level](self.defence, noise, draws)
        with resumable.drawing_from(noise, source):
            return attack(target, x, y, threat or self.threat, source)

    def right(
        self, x: Tensor, y: Tensor, purpose: str = "fresh", evaluations: int | None = None
    ) -> Tensor:
        """The share of predictions of ``x`` that are right, (B,); no attack meets their draws.

        Points that are judged for one purpose meet the same draws: a difference between them is
        theirs, which makes the interval of a paired difference far narrower.
        """
        number = self.evaluations if evaluations is None else evaluations
        args = (self.seed, f"check/{purpose}", self.batch, number)
        return counts(self.defence, x, y, *args).float() / number


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    check: str
    """Its name."""
    passed: bool
    """Whether the inequality holds."""
    value: float
    """The measured side of the inequality."""
    bound: float
    """The side it must not go beyond."""
    inequality: str
    """The inequality in words, such as ``accuracy(EOT-20) - accuracy(EOT-1) <= tau``."""
    words: str
    """The finding in a sentence, with its numbers."""


class Check(Protocol):
    """A check: numbers of a batch, and the conclusion from the numbers of all batches."""

    name: str

    def applies(self, suite: Suite, defence: Defence) -> bool:
        """Whether there is anything to check."""

    def cost(self, suite: Suite) -> tuple[float, float]:
        """Draws that it takes an image, with a gradient and without one."""

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Its numbers for a batch, each (B,); none where it concludes from the entries alone."""

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        """The finding from its own numbers, and from the columns of the whole evaluation."""


CHECKS: Registry[type[Check]] = Registry("CHECKS", "alp.evaluation.checks", "alp.checks")
"""Name to check, in the order in which they are printed."""


def excess(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, float]:
    """Mean of ``a - b`` over images, and tau, two standard errors of this paired difference."""
    difference = a.astype(np.float64) - b.astype(np.float64)
    spread = difference.std(ddof=1) if len(difference) > 1 else 0.0
    return float(difference.mean()), float(2 * spread / np.sqrt(len(difference)))


def no_better(check: str, own: Columns, pairs: Sequence[tuple[str, str]], named: Names) -> Finding:
    """The finding that of each pair of attackers the first, who has more, does at least as well
    as the second: accuracy(first) - accuracy(second) <= tau. The pair that breaks it most counts.

    ``named`` gives the attackers, by the names of their columns, the words that people use.
    """
    value, bound, first, second = max(
        ((*excess(own[first], own[second]), first, second) for first, second in pairs),
        key=lambda each: each[0] - each[1],
    )
    if value <= bound:
        shares = [f"{named[key]} {percent(own[key].mean())}" for key in named if key in own]
        words = f"more effort does not help the defender; accuracy under {', '.join(shares)}"
    else:
        words = (
            f"gradient masking suspected: {named[first]} leaves {points(value)} more right than "
            f"{named[second]}"
        )
    inequality = f"accuracy({named[first]}) - accuracy({named[second]}) <= tau"
    return Finding(check, value <= bound, value, bound, inequality, words)


def uncertainty(share: NDArray[Any]) -> float:
    """Tau of a mean over images: two standard errors."""
    return excess(share, np.zeros(len(share)))[1]


def with_radius(threat: Threat, eps: float) -> Threat:
    """The threat with another radius."""
    resized: Threat = replace(threat, eps=eps)  # type: ignore[type-var]
    return resized


def percent(share: float) -> str:
    """A share as a percentage, ``7.1 %``."""
    return f"{100 * share:.1f} %"


def points(share: float) -> str:
    """A difference of shares in points of a percentage, ``7.1 points``."""
    return f"{100 * share:.1f} points"
