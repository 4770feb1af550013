"""On a linear model the worst case of a norm ball is known in closed form."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from alp.attacks import BIM, FGSM, L2, NFGSM, PGD, Attack, Linf
from alp.seeding import generator, normal, uniform

SHAPE = (3, 4, 4)
EPS = {"linf": 0.1, "l2": 0.5}


def linear(classes: int, seed: int) -> tuple[Callable[[torch.Tensor], torch.Tensor], torch.Tensor]:
    weight = normal((classes, 48), generator(seed, "weight"))
    return lambda x: x.flatten(1) @ weight.T, weight


def middle(count: int) -> torch.Tensor:
    """Images so far from the faces of the box that no attack here reaches one."""
    return 0.5 + 0.05 * normal((count, *SHAPE), generator(1, "middle")).clamp(-2, 2)


def saturated(count: int) -> torch.Tensor:
    """Images of which two thirds of the values lie on or near a face of the box."""
    return (3 * uniform((count, *SHAPE), generator(2, "saturated")) - 1).clamp(0, 1)


def rise(weight: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The gradient of the margin of a two-class model: other class minus own, (B,3,4,4)."""
    return (weight[1 - y] - weight[y]).view(-1, *SHAPE)


def best_l2_in_the_box(w: torch.Tensor, x: torch.Tensor, eps: float) -> torch.Tensor:
    """max <w, d> over the ball and the box is clip(c w), with c such that its length is eps (or
    every value saturates); c by bisection in float64."""
    w, low, high = w.double(), -x.double(), 1 - x.double()
    small, large = (
        torch.zeros(len(x), 1, 1, 1).double(),
        torch.full((len(x), 1, 1, 1), 1e6).double(),
    )
    for _ in range(100):
        c = (small + large) / 2
        inside = (c * w).clamp(low, high).flatten(1).norm(dim=1).view(-1, 1, 1, 1) <= eps
        small, large = torch.where(inside, c, small), torch.where(inside, large, c)
    return (small * w).clamp(low, high)


ONE_STEP = [FGSM(), FGSM(loss="margin"), NFGSM(noise=0.0), NFGSM(noise=0.0, loss="margin")]
MANY_STEPS = [
    BIM(steps=12),
    BIM(steps=12, loss="margin"),
    PGD(steps=12),
    PGD(steps=12, loss="margin"),
    PGD(steps=12, restarts=2),
]


@pytest.mark.parametrize("attack", ONE_STEP + MANY_STEPS, ids=repr)
def test_linf_optimum_is_eps_times_the_sign(attack: Attack) -> None:
    target, weight = linear(2, 3)
    x, y = middle(6), torch.tensor([0, 1, 0, 1, 1, 0])
    x_adv = attack(target, x, y, Linf(EPS["linf"]), generator(3, "attack"))
    assert torch.allclose(x_adv - x, EPS["linf"] * rise(weight, y).sign(), atol=1e-6)


@pytest.mark.parametrize("attack", ONE_STEP + MANY_STEPS, ids=repr)
def test_linf_optimum_in_the_box_is_the_clipped_one(attack: Attack) -> None:
    target, weight = linear(2, 4)
    x, y = saturated(6), torch.tensor([0, 1, 0, 1, 1, 0])
    x_adv = attack(target, x, y, Linf(EPS["linf"]), generator(4, "attack"))
    expected = (x + EPS["linf"] * rise(weight, y).sign()).clamp(0, 1)
    assert (expected - x).abs().min() < 0.5 * EPS["linf"]  # the box does bind
    assert torch.allclose(x_adv, expected, atol=1e-6)


@pytest.mark.parametrize("attack", ONE_STEP, ids=repr)
def test_one_l2_step_is_the_optimum(attack: Attack) -> None:
    target, weight = linear(2, 5)
    x, y = middle(6), torch.tensor([0, 1, 0, 1, 1, 0])
    x_adv = attack(target, x, y, L2(EPS["l2"]), generator(5, "attack"))
    w = rise(weight, y)
    expected = EPS["l2"] * w / w.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert torch.allclose(x_adv - x, expected, atol=1e-6)


@pytest.mark.parametrize("make", [middle, saturated])
@pytest.mark.parametrize("loss", ["ce", "margin"])
@pytest.mark.parametrize("kind", [BIM, PGD])
def test_l2_ascent_reaches_the_optimum(
    kind: type[BIM] | type[PGD], loss: str, make: Callable[[int], torch.Tensor]
) -> None:
    target, weight = linear(2, 6)
    x, y = make(6), torch.tensor([0, 1, 0, 1, 1, 0])
    attack = kind(steps=60, loss=loss)
    x_adv = attack(target, x, y, L2(EPS["l2"]), generator(6, "attack"))
    expected = best_l2_in_the_box(rise(weight, y), x, EPS["l2"])
    assert torch.allclose((x_adv - x).double(), expected, atol=1e-4)
    assert torch.allclose(expected.flatten(1).norm(dim=1), torch.tensor(EPS["l2"]).double())


def test_multi_class_fgsm_follows_the_closed_form_gradient() -> None:
    target, weight = linear(7, 7)
    x, y = middle(9), torch.arange(9) % 7
    probability = target(x).softmax(1)
    gradient = (probability @ weight - weight[y]).view_as(x)
    x_adv = FGSM()(target, x, y, Linf(0.1), generator(7, "attack"))
    assert torch.equal(x_adv - x > 0, gradient > 0)


@pytest.mark.parametrize(("threat", "dual"), [(Linf(0.1), 1), (L2(0.5), 2)], ids=str)
def test_multi_class_margin_reaches_the_bound_of_its_class(threat: Linf | L2, dual: int) -> None:
    """The worst case of the margin is the largest over classes j of
    margin_j + eps * ||w_j - w_y||_dual. An ascent reaches the bound of the class it ends in; with
    many starts that is the worst class, but for an image whose other classes are nearer by far."""
    target, weight = linear(4, 8)
    x, y = middle(24), torch.arange(24) % 4
    attack = PGD(steps=40, restarts=24, loss="margin")
    logits = target(attack(target, x, y, threat, generator(8, "attack")))
    margins = target(x) - target(x).gather(1, y[:, None])
    bounds = margins + threat.eps * torch.cdist(weight, weight, p=dual)[y]
    bounds = bounds.scatter(1, y[:, None], -torch.inf)
    reached = logits - logits.gather(1, y[:, None])
    reached = reached.scatter(1, y[:, None], -torch.inf)
    chosen = reached.argmax(1, keepdim=True)
    assert torch.allclose(reached.gather(1, chosen), bounds.gather(1, chosen), rtol=1e-3)
    assert (chosen.squeeze(1) == bounds.argmax(1)).sum() >= 22
