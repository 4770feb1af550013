"""What is known to be there is found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from alp import seeding
from alp.attacks import resumable
from alp.attacks.base import step_length
from alp.attacks.gradients import score
from alp.attacks.pgd import ascend
from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, percent, uncertainty
from alp.evaluation.suites import Suite

if TYPE_CHECKING:
    from alp.defences.base import Defence

CORNERS = 32
"""Points of the ball that are tried blindly."""
STEPS = 20
"""Steps of the gradient ascent that has to do as well."""
FOUND = 0.95
"""Least share of images on which it does."""


@CHECKS.register("planted", order=9)
class Planted:
    """Gradient ascent gets as far as the best of 32 blind guesses.

    Zimmermann et al. 2022 (Increasing Confidence in Adversarial Robustness Evaluations, section 3)
    plant adversarial examples and ask whether the attack finds them. Here a random direction of
    the logits is to be raised, as by an attacker who wants another class of his own: the best of
    32 random extreme points of the ball is a point known to exist, and ascent of as many calls of
    the target, with its gradient, has to reach its height. Both see the same bank of draws.
    """

    name = "planted"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return True

    def cost(self, suite: Suite) -> tuple[float, float]:
        return STEPS * suite.probes.draws, (CORNERS + 2) * suite.probes.draws

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        threat, source = scene.threat, scene.source(self.name, x.device)
        target = scene.frozen(self.name, x.device)
        with torch.no_grad():
            logits = target(x)
        direction = seeding.normal(logits.shape, source).to(logits)
        direction = direction - direction.mean(1, keepdim=True)  # a shift of all logits is none
        direction = direction / direction.norm(dim=1, keepdim=True)

        def height(logits: Tensor, labels: Tensor) -> Tensor:
            raised: Tensor = torch.linalg.vecdot(direction, logits)
            return raised

        best = SimpleNamespace(height=torch.full_like(logits[:, 0], -torch.inf))
        with resumable.drawing_from(source):
            for _ in resumable.steps(CORNERS, best):
                guess = seeding.normal(x.shape, source).to(x)
                corner = threat.project(threat.step(x, guess, threat.eps), x)
                best.height = torch.maximum(best.height, score(target, corner, y, height))
        size = step_length(None, threat)
        end = ascend(target, x, x, y, threat, steps=STEPS, size=size, loss=height)
        return {"found": (score(target, end, y, height) >= best.height).cpu().double()}

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        value, bound = float(own["found"].mean()), FOUND - uncertainty(own["found"])
        words = (
            f"gradient ascent gets as far as the best of {CORNERS} blind guesses for "
            f"{percent(value)} of the images"
        )
        if value < bound:
            words = f"gradient masking suspected: {words} only"
        inequality = f"share of planted points that are found >= {percent(FOUND)} - tau"
        return Finding(self.name, value >= bound, value, bound, inequality, words)
