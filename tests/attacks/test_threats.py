from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from alp.attacks import L2, THREATS, Linf
from alp.seeding import generator, normal, uniform


def images(seed: int, count: int = 8) -> torch.Tensor:
    """Images of which about a third of the values sit on a face of the box."""
    spread = 1.5 * uniform((count, 3, 6, 6), generator(seed, "images")) - 0.25
    return spread.clamp(0, 1)


def nearest_by_bisection(x_adv: torch.Tensor, x: torch.Tensor, eps: float) -> torch.Tensor:
    """The L2 projection to ball and box by 80 halvings of its multiplier, in float64."""
    delta, low, high = (x_adv - x).double(), -x.double(), 1 - x.double()
    inside, outside = torch.zeros(len(x), 1, 1, 1).double(), torch.ones(len(x), 1, 1, 1).double()
    for _ in range(80):
        middle = (inside + outside) / 2
        length = (middle * delta).clamp(low, high).flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        inside = torch.where(length <= eps, middle, inside)
        outside = torch.where(length <= eps, outside, middle)
    return x.double() + (outside * delta).clamp(low, high)


@pytest.mark.parametrize("name", THREATS)
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    eps=st.floats(0, 1),
    reach=st.sampled_from([1e-3, 0.1, 1.0, 1e3]),
)
def test_a_projection_is_inside_and_stays(name: str, seed: int, eps: float, reach: float) -> None:
    threat = THREATS[name](eps)
    x = images(seed)
    point = threat.project(x + reach * normal(x.shape, generator(seed, "far")), x)
    assert threat.distance(point, x).max() <= eps + 1e-6
    assert point.min() >= 0
    assert point.max() <= 1
    assert torch.allclose(threat.project(point, x), point, atol=1e-6)


@pytest.mark.parametrize("reach", [0.01, 0.3, 3.0, 100.0])
@pytest.mark.parametrize("eps", [0.1, 0.5, 2.0, 5.0])
def test_the_l2_projection_is_the_nearest_point(eps: float, reach: float) -> None:
    x = images(1, 64)
    x_adv = x + reach * normal(x.shape, generator(2, "far")) ** 3
    expected = nearest_by_bisection(x_adv, x, eps)
    assert torch.allclose(L2(eps).project(x_adv, x).double(), expected, atol=5e-6)


def test_the_linf_projection_clips_each_value() -> None:
    x = torch.tensor([0.5, 0.5, 0.95, 0.02]).view(1, 1, 2, 2)
    x_adv = torch.tensor([0.9, 0.45, 1.5, -3.0]).view(1, 1, 2, 2)
    expected = torch.tensor([0.6, 0.45, 1.0, 0.0]).view(1, 1, 2, 2)
    assert torch.allclose(Linf(0.1).project(x_adv, x), expected)


@pytest.mark.parametrize("name", THREATS)
def test_a_point_inside_is_not_moved(name: str) -> None:
    x = images(3)
    near = (x + 1e-3 * normal(x.shape, generator(3, "near"))).clamp(0, 1)
    assert torch.allclose(THREATS[name](0.9).project(near, x), near, atol=1e-7)


@pytest.mark.parametrize("name", THREATS)
def test_no_direction_of_the_same_length_ascends_more(name: str) -> None:
    threat = THREATS[name](1.0)
    zero = torch.zeros(2000, 3, 2, 2)
    gradient = normal((1, 3, 2, 2), generator(4, "gradient"))
    rivals = normal(zero.shape, generator(4, "rivals"))
    rivals = 0.3 * rivals / threat.distance(rivals, zero).view(-1, 1, 1, 1)
    step = threat.step(zero[:1], gradient, 0.3)
    assert threat.distance(step, zero[:1]).item() == pytest.approx(0.3, rel=1e-5)
    assert (gradient * step).sum() >= (gradient * rivals).sum((1, 2, 3)).max()


@pytest.mark.parametrize("name", THREATS)
@pytest.mark.parametrize("size", [1e-37, 1e-30, 1e30, 3e38])
def test_a_step_does_not_depend_on_the_gradients_scale(name: str, size: float) -> None:
    x = images(5)
    signs = normal(x.shape, generator(5, "gradient")).sign()
    threat = THREATS[name](0.5)
    assert torch.allclose(threat.step(x, size * signs, 0.1), threat.step(x, signs, 0.1))


@pytest.mark.parametrize("name", THREATS)
def test_a_zero_gradient_moves_only_its_own_image_nowhere(name: str) -> None:
    x = images(6)
    gradient = normal(x.shape, generator(6, "gradient"))
    gradient[2] = 0
    moved = THREATS[name](0.5).step(x, gradient, 0.1)
    assert moved.isfinite().all()
    assert torch.equal(moved[2], x[2])
    assert (moved != x).flatten(1).any(1).sum() == len(x) - 1


def test_distances_are_the_norms() -> None:
    x = torch.zeros(2, 3, 1, 1)
    moved = torch.tensor([[0.3, -0.4, 0.0], [0.0, 0.0, -0.2]]).view(2, 3, 1, 1)
    assert torch.allclose(Linf().distance(moved, x), torch.tensor([0.4, 0.2]))
    assert torch.allclose(L2().distance(moved, x), torch.tensor([0.5, 0.2]))
