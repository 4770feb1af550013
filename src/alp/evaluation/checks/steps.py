"""More steps do not help the defender."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from alp.attacks import FGSM, PGD, Attack
from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, no_better
from alp.evaluation.suites import Suite

if TYPE_CHECKING:
    from alp.defences.base import Defence


@CHECKS.register("steps", order=1)
class Steps:
    """Accuracy falls, or stays, from FGSM to a short PGD to a long one, all of them by averaged
    exact gradients. Iterative attacks that do worse than one step are a sign of masked gradients
    (Athalye et al. 2018, section 3.1)."""

    name = "steps"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return True

    def cost(self, suite: Suite) -> tuple[float, float]:
        probes = suite.probes
        return (1 + sum(probes.steps)) * probes.draws, 3 * suite.evaluations * probes.draws

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        short, long = scene.probes.steps
        attacks: dict[str, Attack] = {"fgsm": FGSM(), "short": PGD(short), "long": PGD(long)}
        return {
            key: scene.right(scene.attacked(self.name, attack, x, y), y)
            for key, attack in attacks.items()
        }

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        short, long = suite.probes.steps
        named = {"fgsm": "FGSM", "short": f"PGD-{short}", "long": f"PGD-{long}"}
        return no_better(self.name, own, [("long", "short"), ("short", "fgsm")], named)
