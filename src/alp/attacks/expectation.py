"""What an attacker of a randomised target averages: losses, probabilities or logits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from alp.attacks.base import Target
from alp.errors import choose

if TYPE_CHECKING:
    from torch import Tensor


def _loss(logits: Tensor) -> Tensor:
    """The mean of the loss over draws: nothing is reduced before it."""
    return logits


def _probability(logits: Tensor) -> Tensor:
    """The log of the mean probability, whose cross-entropy is -log of the label's mean
    probability (n,B,K) -> (B,K)."""
    return logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))


def _logits(logits: Tensor) -> Tensor:
    """The mean logits, by which the deployed prediction decides: (n,B,K) -> (B,K)."""
    return logits.mean(0)


OBJECTIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "loss": _loss,
    "probability": _probability,
    "logits": _logits,
}
"""Name to what is made of the logits of several draws before the attacker's loss."""


def expected(target: Target, objective: str) -> Target:
    """``target``, with its draws (n,B,K) averaged as ``objective`` says; logits (B,K) are left
    as they are.

    By Jensen's inequality ``probability`` is never above ``loss`` under the cross-entropy: it
    leaves draws that are wrong already alone, and works on those that are still right.

    Raises:
        UnknownNameError: no such objective.
    """
    reduce = choose(OBJECTIVES, objective, "objective")

    def averaged(x: Tensor) -> Tensor:
        logits = target(x)
        return reduce(logits) if logits.ndim == 3 else logits

    return averaged
