"""How long the steps of APGD are while the loss rises."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from alp.attacks import APGD, Linf
from alp.seeding import generator


@dataclass(frozen=True)
class Wide(Linf):
    """A ball without an end, in which a step of unit length is a thousandth."""

    def random_start(self, x: Tensor, source, scale: float = 1.0) -> Tensor:
        return x

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return x_adv

    def step(self, x: Tensor, gradient: Tensor, size: float) -> Tensor:
        return x + size * gradient.sign() / 1000


def moves(target, steps: int) -> list[float]:
    """How far each step went, in units of the first."""
    points = []

    def noted(x: Tensor) -> Tensor:
        if x.requires_grad:
            points.append(float(x.detach().double().mean()))
        return target(x)

    x = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    attack = APGD(steps=steps, loss="margin")
    attack(noted, x, torch.tensor([0]), Wide(0.5), generator(0, "attack"))
    assert len(points) == steps + 1
    return [(b - a) * 1000 for a, b in pairwise(points)]


def test_a_loss_that_always_rises_keeps_its_step() -> None:
    """Twice eps, which is 1, at every one of 100 steps."""

    def rising(x: Tensor) -> Tensor:
        height = x.flatten(1).sum(1, keepdim=True)
        return torch.cat([torch.zeros_like(height), height], 1)

    assert moves(rising, 100) == pytest.approx([1.0] * 100)
