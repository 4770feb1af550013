"""The attack of adversarial training, as tasks take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alp.attacks import NFGSM, PGD, THREATS
from alp.errors import choose
from alp.training.stages import AdversaryConfig
from alp.training.tasks import Perturb


def perturbation(adversary: AdversaryConfig) -> Perturb | None:
    """The attack of an adversary; None where there is none."""
    if adversary.method == "none":
        return None
    threat = choose(THREATS, adversary.norm, "norm")(adversary.eps)
    attack = NFGSM() if adversary.method == "nfgsm" else PGD(steps=adversary.steps)
    return lambda target, x, y, source: attack(target, x, y, threat, source)


def growing(adversary: AdversaryConfig) -> Callable[[float], Perturb]:
    """The attack of an adversary at a share of its radius, above 0."""

    def at(share: float) -> Perturb:
        perturb = perturbation(replace(adversary, eps=share * adversary.eps))
        assert perturb is not None
        return perturb

    return at
