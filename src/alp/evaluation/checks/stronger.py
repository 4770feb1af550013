"""Attackers who have more do at least as well: more steps, more draws, the exact gradient, any
gradient at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from alp.attacks import FGSM, PGD, Attack
from alp.evaluation.checks.base import (
    CHECKS,
    Columns,
    Finding,
    Scene,
    excess,
    no_better,
    percent,
    points,
)
from alp.evaluation.knowledge import BLACK_BOX
from alp.evaluation.suites import Suite
from alp.records import worst

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


SLACK = 0.005
"""What a black box may break besides: as much as one more restart of a white box does."""


@CHECKS.register("black-box", order=3)
class BlackBox:
    """The black boxes of the suite break next to nothing that its white boxes leave: a gradient
    that tells less than answers do is masked (Athalye et al. 2018, section 3.1)."""

    name = "black-box"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        black = [entry.level in BLACK_BOX for entry in suite.entries]
        return any(black) and not all(black)

    def cost(self, suite: Suite) -> tuple[float, float]:
        return 0, 0

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {}

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        every = [entry.name for entry in suite.entries]
        white = [entry.name for entry in suite.entries if entry.level not in BLACK_BOX]
        without, together = (worst(record, each, suite.evaluations) for each in (white, every))
        value, tau = excess(without, together)
        bound = SLACK + tau
        if value <= bound:
            words = (
                f"the white boxes leave {percent(without.mean())}, and the black boxes besides "
                f"them {percent(together.mean())}"
            )
        else:
            words = f"gradient masking suspected: black box beats white box by {points(value)}"
        inequality = "accuracy(white boxes) - accuracy(all) <= 0.5 points + tau"
        return Finding(self.name, value <= bound, value, bound, inequality, words)


@CHECKS.register("draws", order=4)
class Draws:
    """PGD on the average of many draws does at least as well as on single draws (Athalye et al.
    2018, section 3.2)."""

    name = "draws"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return defence.stochastic

    def cost(self, suite: Suite) -> tuple[float, float]:
        probes = suite.probes
        return probes.steps[0] * (probes.draws + 1), 2 * suite.evaluations * probes.draws

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        attack = PGD(scene.probes.steps[0])
        return {
            key: scene.right(scene.attacked(self.name, attack, x, y, draws=draws), y)
            for key, draws in {"one": 1, "many": scene.probes.draws}.items()
        }

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        named = {"one": "EOT-1", "many": f"EOT-{suite.probes.draws}"}
        return no_better(self.name, own, [("many", "one")], named)
