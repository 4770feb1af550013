"""The gradient that the attacker is shown is the slope of what the target computes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from alp import seeding
from alp.attacks import LOSSES, Target, input_gradient
from alp.attacks.gradients import score
from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, percent, uncertainty
from alp.evaluation.suites import Suite

if TYPE_CHECKING:
    from alp.defences.base import Defence

AGREE = 0.9
"""Least share of images on which gradient and slope have to agree; a kink may be near others."""
TOLERANCE = 0.1
"""Relative difference that still is agreement."""
LENGTHS = {torch.float64: 1e-5, torch.float32: 1e-2}
"""Type to half the Euclidean distance of the two points of a difference: between the kinks of a
piecewise linear model and the rounding errors of the type."""
ROUNDING = 16
"""Units in the last place by which a loss may be off."""


@CHECKS.register("finite-difference", order=8)
class FiniteDifference:
    """Along the gradient and along a random direction the gradient of the margin, on a bank of
    draws, is its central difference. In float64, on a copy of the target; a target that cannot
    compute in float64 is asked in float32, at a greater distance.

    A target that declares a surrogate gradient has the check ``surrogate`` in its place.

    It finds gradients that are wrong: a path that is cut, a backward pass of somebody's own. A
    staircase, which is flat almost everywhere, has a gradient of zero that is right.
    """

    name = "finite-difference"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return not defence.surrogate

    def cost(self, suite: Suite) -> tuple[float, float]:
        return suite.probes.draws, 5 * suite.probes.draws

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        source = scene.source(self.name, x.device)
        random = seeding.normal(x.shape, source).to(x)
        try:
            target = scene.frozen(self.name, x.device, scene.defence.in_float64())
            with torch.no_grad():
                finer = target(x.double()).dtype == torch.float64
        except (RuntimeError, TypeError, ValueError):
            finer = False  # other people's code need not know float64
        if finer:
            x, random = x.double(), random.double()
        else:
            target = scene.frozen(self.name, x.device)
        agrees = _agrees(target, x, y, random)
        return {"agrees": agrees.double(), "float64": torch.full_like(x[:, 0, 0, 0], finer)}

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        value, bound = float(own["agrees"].mean()), AGREE - uncertainty(own["agrees"])
        kind = "float64" if own["float64"].all() else "float32"
        words = f"gradient and finite differences agree for {percent(value)} of the images ({kind})"
        if value < bound:
            words = (
                f"gradient masking suspected: {words}; where it is a surrogate on purpose, such as "
                "BPDA's, declare it: --surrogate WORDS, or evaluate(..., surrogate=WORDS)"
            )
        inequality = f"share of images whose gradient is the slope >= {percent(AGREE)} - tau"
        return Finding(self.name, value >= bound, value, bound, inequality, words)


def _agrees(target: Target, x: Tensor, y: Tensor, random: Tensor) -> Tensor:
    """Whether the gradient at ``x`` predicts both differences, (B,)."""
    loss = LOSSES["margin"]
    reach = LENGTHS.get(x.dtype, LENGTHS[torch.float32])
    x = x.clamp(reach, 1 - reach)  # both points have to be images
    gradient, value = input_gradient(target, x, y, loss)
    length = gradient.flatten(1).norm(dim=1)
    rounding = ROUNDING * torch.finfo(x.dtype).eps * value.abs().clamp_min(1) / reach
    allowed = rounding + TOLERANCE * length / math.sqrt(x[0].numel())
    good = torch.ones_like(value, dtype=torch.bool)
    for direction in (gradient, random):
        norm = direction.flatten(1).norm(dim=1).clamp_min(torch.finfo(x.dtype).tiny)
        unit = direction / norm.view(-1, 1, 1, 1)
        ahead, behind = (score(target, x + sign * reach * unit, y, loss) for sign in (1, -1))
        slope = (ahead - behind) / (2 * reach)
        predicted = (gradient * unit).flatten(1).sum(1)
        larger = torch.maximum(slope.abs(), predicted.abs())
        good &= (slope - predicted).abs() <= TOLERANCE * larger + allowed
    return good
