"""A declared surrogate gradient leads uphill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from alp import seeding
from alp.attacks import LOSSES, input_gradient
from alp.attacks.gradients import score
from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, percent, uncertainty
from alp.evaluation.suites import Suite

if TYPE_CHECKING:
    from alp.defences.base import Defence

UPHILL = 0.9
"""Least share of images on which a step along the surrogate raises the loss more than one the
other way."""
STEP = 0.25
"""Length of the step in radii of the threat: that of the attacks' steps."""


@CHECKS.register("surrogate", order=8)
class Surrogate:
    """Of a target that declares its gradient to be a surrogate (BPDA's; Athalye et al. 2018,
    section 4.1): a step of an attack along it raises the margin of what the target really
    computes more than the same step the other way, and more than a random one.

    It stands in for ``finite-difference``: a surrogate is not the slope, and need not be.
    """

    name = "surrogate"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return bool(defence.surrogate)

    def cost(self, suite: Suite) -> tuple[float, float]:
        return suite.probes.draws, 3 * suite.probes.draws

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        target, loss = scene.frozen(self.name, x.device), LOSSES["margin"]
        gradient, _ = input_gradient(target, x, y, loss)
        random = seeding.normal(x.shape, scene.source(self.name, x.device)).to(x)
        length = STEP * scene.threat.eps
        ahead, behind, aside = (
            score(target, scene.threat.step(x, way, length).clamp(0, 1), y, loss)
            for way in (gradient, -gradient, random)
        )
        higher = (ahead > behind) & (ahead > aside)
        return {"uphill": higher.double()}

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        value, bound = float(own["uphill"].mean()), UPHILL - uncertainty(own["uphill"])
        share = percent(value)
        words = f"a step along the declared surrogate leads uphill for {share} of the images"
        if value < bound:
            words = (
                f"the declared surrogate is of little use to an attacker: {words}; declare one "
                "that follows what the target computes, and believe no accuracy before"
            )
        inequality = f"share of images whose surrogate leads uphill >= {percent(UPHILL)} - tau"
        return Finding(self.name, value >= bound, value, bound, inequality, words)
