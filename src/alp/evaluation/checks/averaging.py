"""Averaging over draws helps the attacker, and two averages point the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from alp.attacks import LOSSES, PGD, input_gradient
from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, no_better
from alp.evaluation.suites import Suite

if TYPE_CHECKING:
    from alp.defences.base import Defence

ALIKE = 0.2
"""Least mean cosine of two averaged gradients."""


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


@CHECKS.register("direction", order=5)
class Direction:
    """Two averages over draws of their own point the same way, at the image and at a random
    start: the attacker averages enough to know where to go. A gradient that is zero points
    nowhere, and counts as a cosine of 0."""

    name = "direction"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return defence.stochastic

    def cost(self, suite: Suite) -> tuple[float, float]:
        return 4 * suite.probes.draws, 0

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        start = scene.threat.random_start(x, scene.source(self.name, x.device))
        return {"clean": self._cosine(scene, x, y), "start": self._cosine(scene, start, y)}

    def _cosine(self, scene: Scene, x: Tensor, y: Tensor) -> Tensor:
        first, second = (self._gradient(scene, x, y, half) for half in range(2))
        return cosine_similarity(first, second, dim=1)

    def _gradient(self, scene: Scene, x: Tensor, y: Tensor, half: int) -> Tensor:
        """One averaged gradient, its largest entry 1: the squares of a confident model's tiny
        gradients would underflow."""
        target = scene.target(f"{self.name}/{half}", x.device, "eot", scene.probes.draws)
        gradient = input_gradient(target, x, y, LOSSES["ce"])[0].flatten(1)
        largest = gradient.abs().amax(1, keepdim=True)
        return gradient / largest.clamp_min(torch.finfo(gradient.dtype).tiny)

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        value = float((own["clean"].mean() + own["start"].mean()) / 2)
        draws = suite.probes.draws
        words = f"two averages of {draws} gradients have a mean cosine of {value:.2f}"
        if value < ALIKE:
            words = f"randomness suspected: {words}, so that averaging {draws} draws is too little"
        inequality = f"mean cosine of two EOT-{draws} gradients >= {ALIKE:g}"
        return Finding(self.name, value >= ALIKE, value, ALIKE, inequality, words)
