"""The projected ascent that the iterative attacks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.attacks.base import Loss, Target, Threat
from alp.attacks.gradients import input_gradient

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
    point = start
    for _ in range(steps):
        gradient, _ = input_gradient(target, point, y, loss)
        point = threat.project(threat.step(point, gradient, size), x)
    return point
