"""Targets that are simple enough to know what a check has to find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from alp.attacks import APGD, PGD, Linf, Square
from alp.defences.base import Defence
from alp.evaluation.checks import CHECKS, Scene
from alp.evaluation.suites import Entry, Probes, Suite
from alp.seeding import generator, normal, uniform

COUNT, SIDE, CLASSES = 40, 4, 3
PIXELS = 3 * SIDE * SIDE
PROBES = Probes(images=COUNT, steps=(10, 20), draws=4)
SUITE = Suite(
    "toy",
    opening=(Entry("score", Square(5)), Entry("eot", PGD(5))),
    closing=(Entry("eot", APGD(5)),),
    evaluations=2,
    probes=PROBES,
)
WEIGHT = normal((PIXELS, CLASSES), generator(0, "toy weight")) / 4
X = 0.3 + 0.4 * uniform((COUNT, 3, SIDE, SIDE), generator(0, "toy images"))


def linear(x: Tensor) -> Tensor:
    return (x - 0.5).flatten(1) @ WEIGHT.to(x)


Y = linear(X).argmax(1)


class Toy(Defence):
    """A random defence whose every draw is ``answer(x, noise)``, noise like x."""

    capabilities = frozenset({"bpda"})

    def __init__(self, answer: Callable[[Tensor, Tensor], Tensor], draws: int = 1) -> None:
        super().__init__()
        self.answer, self.draws = answer, draws
        self.eval()

    def sample(self, state, source, draws):
        noise = [normal(state.shape, source).to(state) for _ in range(draws)]
        return torch.stack([self.answer(state, each) for each in noise])

    def bpda(self, x, source, draws):
        return linear(x).expand(draws, -1, -1)


SMOOTH = Toy(lambda x, noise: linear(x + 0.05 * noise), draws=4)
MASKED = Toy(lambda x, noise: linear(x.detach() + 0.05 * noise), draws=4)


def scene(defence, threat=Linf(0.02), evaluations=2, seed=0):  # noqa: B008
    return Scene(defence, threat, PROBES, evaluations, seed, batch=0)


def numbers(name, defence, **options):
    found = CHECKS[name]().measure(scene(defence, **options), X, Y)
    assert all(each.shape == (COUNT,) for each in found.values())
    return {key: each.numpy() for key, each in found.items()}


def finding(name, defence, **options):
    return CHECKS[name]().conclude(numbers(name, defence, **options), {}, SUITE)


def concluded(name, **own):
    return CHECKS[name]().conclude({key: np.array(each) for key, each in own.items()}, {}, SUITE)


def some_right(share, count=1000):
    return (np.arange(count) < share * count).astype(float)


def columns(**points):
    made = {}
    for name, (select, fresh) in points.items():
        made[f"{name}_select"], made[f"{name}_fresh"] = np.array(select), np.array(fresh)
        made[f"{name}_attacked"] = np.array(select) >= 0
    return made
