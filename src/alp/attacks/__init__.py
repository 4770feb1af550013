"""Attacks on any callable from images to logits, and the threats they keep to.

    x_adv = PGD(steps=7)(target, x, y, Linf(8 / 255), generator(seed, "attack"))

Nothing here imports torch before an attack runs.
"""

from __future__ import annotations

from alp.attacks.apgd import APGD
from alp.attacks.asking import Asking
from alp.attacks.base import ATTACKS, Attack, Loss, Source, Target, Threat
from alp.attacks.estimates import NES, SPSA
from alp.attacks.gradients import OBJECTIVES, expected, input_gradient
from alp.attacks.lbfgs import LBFGS
from alp.attacks.losses import LOSSES
from alp.attacks.pgd import BIM, FGSM, NFGSM, PGD
from alp.attacks.rays import RayS
from alp.attacks.square import Square
from alp.attacks.threats import L2, Linf

THREATS: dict[str, type[Linf] | type[L2]] = {"linf": Linf, "l2": L2}
"""Name to threat."""

__all__ = [
    "APGD",
    "ATTACKS",
    "BIM",
    "FGSM",
    "L2",
    "LBFGS",
    "LOSSES",
    "NES",
    "NFGSM",
    "OBJECTIVES",
    "PGD",
    "SPSA",
    "THREATS",
    "Asking",
    "Attack",
    "Linf",
    "Loss",
    "RayS",
    "Source",
    "Square",
    "Target",
    "Threat",
    "expected",
    "input_gradient",
]
