"""The paper's figure 3: accuracy and PSNR over sigma.

Record of the kind ``points`` (:mod:`alp.evaluation.records.points`): A-ALP + AT of trial 0 at noise
levels in the latent's units, clean and under the protocol's attack and radius.
"""

from __future__ import annotations

from alp.evaluation.points import Point
from alp.evaluation.records import Record
from alp.paper import trained
from alp.paper.lab import Lab

SIGMAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
"""The range of the paper, twice as fine."""

LEVELS = {"single": 1, "eot": 5}
"""What the attacker knows, and the draws that its gradient averages."""

SHARE = 0.15
"""Of the protocol's images."""


def tradeoff(lab: Lab) -> list[Record]:
    """Both curves of one model."""
    sigmas, eps = lab.grid(SIGMAS), lab.protocol.threat.eps
    points = [Point(sigma=sigma) for sigma in sigmas]
    points += [
        Point(level, eps, sigma, averaged) for level, averaged in LEVELS.items() for sigma in sigmas
    ]
    images = lab.share_of_images(SHARE)
    model = trained.defended(lab, 0)
    return [lab.points("defended-0", trained.DEFENDED, model, lab.protocol.attack, points, images)]
