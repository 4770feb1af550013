"""Accuracy against the radius of the attack, for each level of attacker knowledge.

Records of the kind ``points`` (:mod:`alp.evaluation.records.points`): A-ALP + AT of trial 0 under
every level, and AT alone, for which all levels are one (``single``).
"""

from __future__ import annotations

from alp.evaluation.points import Point
from alp.evaluation.records import Record
from alp.paper import trained
from alp.paper.lab import Lab

RADII = (1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255, 32 / 255)
"""From one grey level to what repaints a picture."""

LEVELS = {"oblivious": 1, "masked": 1, "single": 1, "bpda": 4, "eot": 5}
"""What the attacker knows, and the draws that its gradient averages."""

SHARE = 0.15
"""Of the protocol's images."""


def robustness_curve(lab: Lab) -> list[Record]:
    """The curves of both models on the same images."""
    radii = lab.grid(RADII)
    points = [Point()]
    points += [
        Point(level, eps, None, averaged) for level, averaged in LEVELS.items() for eps in radii
    ]
    alone = [Point(), *(Point("single", eps) for eps in radii)]
    images, attack = lab.share_of_images(SHARE), lab.protocol.attack
    both, bare = trained.defended(lab, 0), trained.adversarial(lab).model
    return [
        lab.points("defended-0", trained.DEFENDED, both, attack, points, images),
        lab.points("adversarial", trained.AT, bare, attack, alone, images),
    ]
