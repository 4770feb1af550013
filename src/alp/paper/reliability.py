"""The paper's figure 5: the mean of the trials and their deviation, over sigma and over eps.

Records of the kind ``points`` (:mod:`alp.evaluation.records.points`), one a trial of A-ALP + AT: at
the protocol's radius over noise levels in the latent's units, and at the learned noise level
(``sigma`` None) over radii, clean and under the protocol's attack.
"""

from __future__ import annotations

from alp.evaluation.points import Point
from alp.evaluation.records import Record
from alp.paper import trained
from alp.paper.lab import Lab

SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""The paper's noise levels, in units of the latent."""

RADII = (2 / 255, 4 / 255, 8 / 255, 12 / 255, 16 / 255)
"""Radii around the usual one."""

LEVEL = "single"
"""What the attacker knows: the paper's protocol."""

SHARE = 0.15
"""Of the protocol's images."""


def reliability(lab: Lab) -> list[Record]:
    """The curves of every trial, on the same images."""
    sigmas = lab.grid(SIGMAS)
    points = [Point(sigma=sigma) for sigma in (None, *sigmas)]
    points += [Point(LEVEL, lab.protocol.threat.eps, sigma) for sigma in sigmas]
    points += [Point(LEVEL, eps) for eps in lab.grid(RADII)]
    images = lab.share_of_images(SHARE)
    return [
        lab.points(
            f"defended-{trial}",
            trained.DEFENDED,
            trained.defended(lab, trial),
            lab.protocol.attack,
            points,
            images,
            trial=trial,
        )
        for trial in range(lab.protocol.trials)
    ]
