"""The exact gradient is at least as good as the identity in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from alp.attacks import PGD
from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, no_better
from alp.evaluation.suites import Suite

if TYPE_CHECKING:
    from alp.defences.base import Defence


@CHECKS.register("bpda", order=6)
class BPDA:
    """PGD on the exact gradient does at least as well as PGD on one that takes the purifier for
    the identity; were it not so, the exact one would hide something (Athalye et al. 2018,
    section 4.1)."""

    name = "bpda"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return "bpda" in defence.capabilities

    def cost(self, suite: Suite) -> tuple[float, float]:
        probes = suite.probes
        return 2 * probes.steps[0] * probes.draws, 2 * suite.evaluations * probes.draws

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        attack = PGD(scene.probes.steps[0])
        return {
            key: scene.right(scene.attacked(self.name, attack, x, y, level=level), y)
            for key, level in {"identity": "bpda", "exact": "eot"}.items()
        }

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        named = {"identity": "BPDA", "exact": "the exact gradient"}
        return no_better(self.name, own, [("exact", "identity")], named)
