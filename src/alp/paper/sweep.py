"""The paper's robustness matrix: FGSM's eps against sigma.

The paper does not say what its attacker knows, so each of four levels has a matrix. Record of the
kind ``points`` (:mod:`alp.evaluation.records.points`): A-ALP + AT of trial 0 at each level, eps and
sigma, and clean at each sigma.
"""

from __future__ import annotations

from alp.attacks import FGSM
from alp.evaluation.points import Point
from alp.evaluation.records import Record
from alp.paper import trained
from alp.paper.lab import Lab

RADII = (0.1, 0.2, 0.3)
"""The paper's radii: 0.3 is far beyond what leaves a picture as it is."""

SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""The paper's noise levels, in units of the latent."""

LEVELS = {"oblivious": 1, "single": 1, "masked": 1, "eot": 10}
"""What the attacker knows, and the draws that its gradient averages."""

SHARE = 0.2
"""Of the protocol's images."""


def sweep(lab: Lab) -> list[Record]:
    """The matrix of one model."""
    sigmas = lab.grid(SIGMAS)
    points = [Point(sigma=sigma) for sigma in sigmas]
    points += [
        Point(level, eps, sigma, averaged)
        for level, averaged in LEVELS.items()
        for eps in RADII
        for sigma in sigmas
    ]
    images = lab.share_of_images(SHARE)
    model = trained.defended(lab, 0)
    return [lab.points("defended-0", trained.DEFENDED, model, FGSM(), points, images)]
