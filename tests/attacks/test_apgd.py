from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_linear_optima import EPS, best_l2_in_the_box, linear, middle, rise, saturated
from torch import Tensor

from alp.attacks import L2, LOSSES, PGD, THREATS, Linf, Threat, apgd
from alp.attacks.apgd import APGD, checkpoints, climb
from alp.errors import ConfigError, UnknownNameError
from alp.seeding import Shard, generator, normal

Y = torch.tensor([0, 1, 0, 1, 1, 0])
THREAT = {"linf": Linf(EPS["linf"]), "l2": L2(EPS["l2"])}
every_threat = pytest.mark.parametrize("threat", THREAT.values(), ids=str)


def bumpy(images: Tensor) -> Tensor:
    weight = normal((4, 48), generator(2, "bumpy")).to(images)
    return 3 * (5 * images.flatten(1) @ weight.T).sin() + images.flatten(1)[:, :4]


def optimum(x: Tensor, weight: Tensor, threat: Threat) -> Tensor:
    """The change that raises the margin of a linear model of two classes most."""
    if isinstance(threat, L2):
        return best_l2_in_the_box(rise(weight, Y), x, threat.eps)
    return ((x + threat.eps * rise(weight, Y).sign()).clamp(0, 1) - x).double()


def gained(x_adv: Tensor, x: Tensor, weight: Tensor, threat: Threat) -> Tensor:
    """The share of the possible rise of the margin that an attack brought about, (B,)."""
    slope = rise(weight, Y).double()
    made, possible = (x_adv - x) * slope, optimum(x, weight, threat) * slope
    return made.sum((1, 2, 3)) / possible.sum((1, 2, 3))


def test_checkpoints_are_the_papers() -> None:
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99, 100]
    assert checkpoints(1000) == [220, 410, 570, 700, 800, 870, 930, 990, 1000]
    assert checkpoints(10) == [3, 5, 6, 7, 8, 9, 10]


@given(steps=st.integers(1, 3000))
def test_checkpoints_rise_to_the_last_step(steps: int) -> None:
    marks = checkpoints(steps)
    assert marks == sorted(set(marks))
    assert marks[0] >= 1
    assert marks[-1] == steps


@every_threat
@pytest.mark.parametrize("make", [middle, saturated])
@pytest.mark.parametrize("loss", ["ce", "margin"])
def test_it_reaches_the_optimum_of_a_linear_model(
    loss: str, make: Callable[[int], Tensor], threat: Threat
) -> None:
    target, weight = linear(2, 3)
    x = make(6)
    x_adv = APGD(loss=loss)(target, x, Y, threat, generator(3, "attack"))
    assert torch.allclose((x_adv - x).double(), optimum(x, weight, threat), atol=5e-4)
    assert (gained(x_adv, x, weight, threat) > 0.99999).all()


@every_threat
def test_it_settles_on_a_maximum_inside_the_ball(threat: Threat) -> None:
    """Steps of one length circle around it; halved ones do not."""
    x = middle(6)
    goal = threat.project(threat.random_start(x, generator(4, "goal"), 0.5), x)

    def target(images: Tensor) -> Tensor:
        fall = (images - goal).square().sum((1, 2, 3)).unsqueeze(1)
        return fall.where(torch.nn.functional.one_hot(Y, 2).bool(), -fall)

    far = {
        type(attack): threat.distance(attack(target, x, Y, threat, generator(4, "attack")), goal)
        for attack in (APGD(loss="margin"), PGD(steps=100, loss="margin"))
    }
    assert (far[APGD] < 0.02 * threat.eps).all()
    assert (far[PGD] > 0.03 * threat.eps).all()


@every_threat
def test_each_image_has_its_own_controller(threat: Threat) -> None:
    x, y = saturated(6).double(), torch.arange(6) % 4
    start = threat.random_start(x, generator(5, "start"))

    def run(rows: slice) -> tuple[Tensor, Tensor]:
        return climb(
            bumpy, start[rows], x[rows], y[rows], threat, steps=20, rho=0.75, loss=LOSSES["ce"]
        )

    together = run(slice(0, 6))
    alone = [run(slice(row, row + 1)) for row in range(6)]
    assert torch.allclose(together[0], torch.cat([point for point, _ in alone]), atol=1e-9)
    assert torch.allclose(together[1], torch.cat([value for _, value in alone]), atol=1e-9)


@every_threat
def test_the_value_of_the_best_point_is_its_loss(threat: Threat) -> None:
    """... and it is the highest that the target has been asked for."""
    x, y = saturated(6), torch.arange(6) % 4
    start = threat.random_start(x, generator(6, "start"))
    seen = []

    def recorded(images: Tensor) -> Tensor:
        logits = bumpy(images)
        seen.append(LOSSES["ce"](logits.detach(), y))
        return logits

    point, value = climb(recorded, start, x, y, threat, steps=30, rho=0.75, loss=LOSSES["ce"])
    assert torch.allclose(value, LOSSES["ce"](bumpy(point), y))
    assert torch.allclose(value, torch.stack(seen).amax(0))


def test_the_step_starts_at_two_eps_and_halves_where_nothing_rises() -> None:
    """The loss is flat and its gradient is not: every checkpoint halves the step, and goes back to
    the start. In a ball that never binds, the move after a checkpoint shows the step: it is 3/4 of
    it, and 1/4 of the way back."""
    x = torch.full((1, 3, 2, 2), 0.5)
    points = []

    def flat(images: Tensor) -> Tensor:
        points.append(images.detach().clone())
        height = images.mean((1, 2, 3))
        # A gradient that turns round at every call keeps the ascent where it is.
        height = (height - height.detach()) * (-1) ** len(points)
        return torch.stack([-height, height], 1)

    class Unbounded(Linf):
        def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
            return x_adv

    threat = Unbounded(0.01)
    climb(flat, x, x, torch.tensor([0]), threat, steps=100, rho=0.75, loss=LOSSES["margin"])
    gradients = [point for index, point in enumerate(points) if index not in scores(100)]
    assert len(gradients) == 101
    moves = [(b - x).abs().max().item() for b in gradients]
    assert moves[1] == pytest.approx(0.02)
    for mark, following in zip(checkpoints(100)[:-1], range(1, 9), strict=True):
        size = 0.02 / 2**following
        back = (x - gradients[mark - 1]).flatten()[0]
        first = (gradients[mark + 1] - x).flatten()[0]
        assert abs(abs(first - 0.25 * back).item() - 0.75 * size) < 1e-6


def scores(steps: int) -> set[int]:
    """Which calls of one ascent are scores: one right after the gradient of each checkpoint."""
    return {mark + 1 + before for before, mark in enumerate(checkpoints(steps))}


@every_threat
@pytest.mark.parametrize("again", [True, False], ids=["scored again", "remembered"])
def test_a_lucky_draw_does_not_hold_the_best_place(
    again: bool, threat: Threat, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, weight = linear(2, 7)
    x, calls = middle(6), 0

    def lucky_at_first(images: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        luck = 1000.0 if calls == 1 else 0.0
        return target(images) + luck * torch.nn.functional.one_hot(1 - Y, 2)

    if not again:
        monkeypatch.setattr(apgd, "score", lambda *_: torch.full((6,), 900.0))
    attack = APGD(loss="margin")
    x_adv = attack(lucky_at_first, x, Y, threat, generator(7, "attack"))
    if again:
        assert (gained(x_adv, x, weight, threat) > 0.999).all()
    else:
        assert torch.equal(x_adv, threat.random_start(x, generator(7, "attack")))


@every_threat
@pytest.mark.parametrize("loss", ["ce", "margin"])
def test_under_noise_it_comes_near_the_optimum(loss: str, threat: Threat) -> None:
    """Every draw has other weights; a single one's gradient is right by half."""
    _, weight = linear(2, 8)
    source, x = generator(8, "draw"), middle(6)

    def noisy(images: Tensor) -> Tensor:
        weights = weight + 1.5 * normal((8, *weight.shape), source)
        return torch.einsum("bd,nkd->nbk", images.flatten(1), weights)

    x_adv = APGD(loss=loss)(noisy, x, Y, threat, generator(8, "attack"))
    assert (gained(x_adv, x, weight, threat) > 0.8).all()
    assert gained(x_adv, x, weight, threat).mean() > 0.88


@every_threat
def test_restarts_keep_the_better_point(threat: Threat) -> None:
    x, y = saturated(12), torch.arange(12) % 4
    reached = [
        LOSSES["ce"](
            bumpy(APGD(5, restarts=restarts)(bumpy, x, y, threat, generator(9, "attack"))), y
        )
        for restarts in (1, 2, 5)
    ]
    assert (reached[1] >= reached[0] - 1e-6).all()
    assert (reached[2] >= reached[1] - 1e-6).all()
    assert (reached[2] > reached[0] + 1e-3).sum() >= 6


@every_threat
@pytest.mark.parametrize("attack", [APGD(7), APGD(30, restarts=3), APGD(1)], ids=repr)
def test_it_calls_the_target_as_often_as_it_says(attack: APGD, threat: Threat) -> None:
    calls = [0, 0]

    def counted(images: Tensor) -> Tensor:
        calls[not images.requires_grad] += 1
        return bumpy(images)

    attack(counted, saturated(4), torch.arange(4), threat, generator(10, "attack"))
    assert tuple(calls) == attack.calls


@pytest.mark.parametrize("name", THREATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_stay_where_they_may(name: str, dtype: torch.dtype) -> None:
    x, y = saturated(6).to(dtype), torch.arange(6) % 4
    threat = THREATS[name](0.2)
    first, again, other = (
        APGD(20)(bumpy, x, y, threat, generator(seed, "attack")) for seed in (1, 1, 2)
    )
    assert first.dtype == dtype
    assert not first.requires_grad
    assert threat.distance(first, x).max() <= 0.2 + 1e-6
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_threat
def test_shards_draw_the_rows_of_the_whole_batch(threat: Threat) -> None:
    x, y, attack = saturated(6), torch.arange(6) % 4, APGD(4, restarts=2)
    whole = attack(bumpy, x, y, threat, generator(11, "start"))
    parts = [
        attack(bumpy, x[rows], y[rows], threat, Shard(generator(11, "start"), rank, 2))
        for rank, rows in enumerate([slice(0, 3), slice(3, 6)])
    ]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


@given(rho=st.floats(max_value=0) | st.floats(min_value=1, exclude_min=True) | st.just(math.nan))
def test_a_bad_rho_is_refused(rho: float) -> None:
    with pytest.raises(ConfigError, match=r"rho is .*; give a"):
        APGD(rho=rho)


@given(count=st.integers(max_value=0) | st.sampled_from([None, 1.5, "7", True]))
def test_bad_counts_are_refused(count: object) -> None:
    with pytest.raises(ConfigError, match="steps is"):
        APGD(steps=count)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="restarts is"):
        APGD(restarts=count)  # type: ignore[arg-type]


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="choose one of: ce, dlr, evasion, margin"):
        APGD(loss="mse")
