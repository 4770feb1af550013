"""The attack of adversarial training, as tasks take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor, nn

from alp.attacks import BIM, NFGSM, PGD, THREATS, Linf
from alp.defences.base import classify
from alp.errors import choose
from alp.training.base import Perturb, Source
from alp.training.stages import AdversaryConfig


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


def iterated(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, source: Source
) -> Tensor:
    """FGSM in ``steps`` steps that reach ``eps`` together (Kurakin et al. 2017)."""
    target = partial(classify, model)
    return BIM(steps=steps, step_size=eps / steps)(target, x, y, Linf(eps), source)
