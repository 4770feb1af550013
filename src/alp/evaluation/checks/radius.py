"""Accuracy by the radius: an attacker who may change nothing finds nothing, accuracy falls with the
radius, and about nothing is left where everything is allowed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from alp.attacks import PGD, Linf
from alp.evaluation.checks.base import (
    CHECKS,
    Columns,
    Finding,
    Scene,
    excess,
    no_better,
    percent,
    uncertainty,
    with_radius,
)
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


GREY = 128 / 255
"""No pixel is farther from mid-grey than this."""
MULTIPLES = {"half": 0.5, "one": 1.0, "double": 2.0}
"""Name to radius, as a multiple of the threat's."""
EVERYTHING = "everything"
"""The name of the radius of which the ball holds the grey image."""
LEFT = 0.02
"""What may be left there: an image or two of a hundred on which a short attack gets stuck."""
DRAWS = 100
"""Draws by which an image is judged there: enough that a twentieth of them shows."""


@CHECKS.register("radius", order=2)
class Radius:
    """Accuracy falls, or stays, as the radius grows, and at a radius of 128/255 (in L2, times the
    square root of the number of pixel values) it is about zero: there every image can be made
    the same grey one. An unbounded attack that does not succeed has failed, whatever the
    defence (Athalye et al. 2018, section 3.1; Carlini et al. 2019, section 5.2)."""

    name = "radius"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return True

    def cost(self, suite: Suite) -> tuple[float, float]:
        radii, probes = len(MULTIPLES), suite.probes
        gradients = (radii + 1) * probes.steps[0] * probes.draws
        return gradients, radii * suite.evaluations * probes.draws + DRAWS

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        threat, defence = scene.threat, scene.defence
        last = GREY if isinstance(threat, Linf) else GREY * math.sqrt(x[0].numel())
        radii = {key: each * threat.eps for key, each in MULTIPLES.items()}
        radii = {key: each for key, each in radii.items() if each < last} | {EVERYTHING: last}
        shares = {}
        for key, eps in radii.items():
            attack = PGD(scene.probes.steps[0])
            x_adv = scene.attacked(self.name, attack, x, y, threat=with_radius(threat, eps))
            many = math.ceil(DRAWS / defence.draws) if defence.stochastic else 1
            shares[key] = scene.right(x_adv, y, evaluations=many if key == EVERYTHING else None)
        return shares

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        named = {key: f"{multiple:g} eps" for key, multiple in MULTIPLES.items()}
        named[EVERYTHING] = "radius 128/255"
        order = [key for key in named if key in own]
        pairs = list(zip(order[1:], order, strict=False))
        left, bound = own[EVERYTHING].mean(), LEFT + uncertainty(own[EVERYTHING])
        if left > bound:
            words = (
                f"gradient masking or luck suspected: {percent(left)} are still right where every "
                "image can be made the same grey one"
            )
        elif not pairs:
            words = f"{percent(left)} are right at every radius, where all images can be grey"
        else:
            return no_better(self.name, own, pairs, named)
        inequality = f"accuracy(radius 128/255) <= {percent(LEFT)} + tau"
        return Finding(self.name, bool(left <= bound), float(left), bound, inequality, words)
