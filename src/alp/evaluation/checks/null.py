"""The null test: an attacker who may change nothing finds nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from alp.attacks import PGD
from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, excess, percent, with_radius
from alp.evaluation.suites import Suite

if TYPE_CHECKING:
    from alp.defences.base import Defence

EPS = 1e-7
"""About the distance of two neighbouring float32 pixels: no attack lives there."""
ATTACK = PGD(steps=3)


@CHECKS.register("null", order=0)
class Null:
    """Robust accuracy at eps 1e-7, selected and judged as the evaluation does, is the clean one.

    An evaluation that judges a point by the draws that selected it fails: on a random target the
    worst of several looks worse than it is (packaged AutoAttack in its version "rand" reports
    71.9 % for a model whose accuracy is 100 %).
    """

    name = "null"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return True

    def cost(self, suite: Suite) -> tuple[float, float]:
        draws = suite.probes.draws
        return ATTACK.steps * draws, 4 * suite.evaluations * draws

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        near = scene.attacked(self.name, ATTACK, x, y, threat=with_radius(scene.threat, EPS))
        worse = scene.right(near, y, "select") < scene.right(x, y, "select")
        chosen = near.where(worse.view(-1, 1, 1, 1), x)
        return {"clean": scene.right(x, y), "robust": scene.right(chosen, y)}

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        apart, tau = excess(own["robust"], own["clean"])
        robust, clean = (percent(own[key].mean()) for key in ("robust", "clean"))
        words = f"at eps {EPS:g} the robust accuracy is {robust}, the clean one {clean}"
        passed = abs(apart) <= tau
        if not passed:
            words = f"the evaluation of this target cannot be trusted: {words}"
        inequality = f"|accuracy(eps {EPS:g}) - accuracy(clean)| <= tau"
        return Finding(self.name, passed, abs(apart), tau, inequality, words)
