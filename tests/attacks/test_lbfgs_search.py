"""The values of c that L-BFGS tries, and which of their solutions it keeps."""

from __future__ import annotations

import math

import pytest
import torch
from test_linear_optima import linear, middle, rise
from torch import Tensor

from alp.attacks import L2, lbfgs
from alp.attacks.lbfgs import LBFGS
from alp.seeding import generator

FAR = L2(100.0)


@pytest.fixture
def tried(monkeypatch):
    """Runs the search where solutions are wrong up to ``limit`` times the first c, the nearer to
    the image the larger c is; the values of c over the first one, and what was found."""

    def run(limit: float, searches: int = 8) -> tuple[list[float], float]:
        target, weight = linear(2, 3)
        x = middle(1)
        y = target(x).argmax(1)
        margin = target(x).gather(1, y[:, None]) - target(x).gather(1, 1 - y[:, None])
        w = rise(weight, y)
        first = float(w.square().sum() / (8 * margin))
        boundary = float(margin / w.flatten(1).norm(dim=1))
        asked: list[float] = []

        def solve(target, x: Tensor, y: Tensor, c: float, steps: int) -> Tensor:
            asked.append(c)
            far = boundary * (1.2 - 0.05 * math.log10(c / first))
            return x + (far if c <= limit * first else 0.5 * boundary) * w / w.norm()

        monkeypatch.setattr(lbfgs, "_solve", solve)
        x_adv = LBFGS(searches=searches)(target, x, y, FAR, generator(0, "attack"))
        assert asked[0] == pytest.approx(first, rel=1e-5), "half of what a linear model needs"
        length = float(FAR.distance(x_adv, x)) / boundary
        return [c / asked[0] for c in asked], length

    return run


def test_c_rises_by_tens_while_solutions_are_wrong_and_is_then_bisected(tried) -> None:
    asked, length = tried(limit=50.0)
    middle = [10**1.5, 10**1.75, 10**1.625, 10**1.6875, 10**1.71875]
    assert asked == pytest.approx([1, 10, 100, *middle])
    last_wrong = max(c for c in asked if c <= 50)
    assert length == pytest.approx(1.2 - 0.05 * math.log10(last_wrong), abs=1e-4)


def test_c_falls_by_tens_while_solutions_are_right(tried) -> None:
    asked, length = tried(limit=0.02)
    assert asked == pytest.approx([1, 0.1, 0.01, 10**-1.5, 10**-1.75, 10**-1.625, *asked[6:]])
    last_wrong = max(c for c in asked if c <= 0.02)
    assert length == pytest.approx(1.2 - 0.05 * math.log10(last_wrong), abs=1e-4)


def test_where_none_is_wrong_the_solution_of_the_least_c_comes_back(tried) -> None:
    asked, length = tried(limit=0.0, searches=3)
    assert asked == pytest.approx([1, 0.1, 0.01])
    assert length == pytest.approx(0.5, abs=1e-4)


def test_the_shortest_wrong_point_is_kept_whatever_came_last(tried) -> None:
    asked, length = tried(limit=5.0, searches=3)
    assert asked == pytest.approx([1, 10, 10**0.5])
    assert length == pytest.approx(1.2 - 0.025, abs=1e-4)


def test_a_margin_of_next_to_nothing_gives_a_finite_c(monkeypatch) -> None:
    """On the boundary the first c would be infinite."""
    asked = []
    monkeypatch.setattr(lbfgs, "_solve", lambda *args: asked.append(args[3]) or args[1])

    def flat(x: Tensor) -> Tensor:
        rise = x.flatten(1).sum(1, keepdim=True)
        return torch.cat([rise - rise.detach(), torch.zeros_like(rise)], 1)

    LBFGS(searches=1)(flat, middle(1), torch.tensor([0]), FAR, generator(0, "attack"))
    assert asked == pytest.approx([48 / 1e-12])
