"""Attacks that only ask, on models whose gradient, nearest direction and optimum are known."""

from __future__ import annotations

import math

import pytest
import torch
from test_apgd import THREAT, Y, gained
from test_linear_optima import linear, middle, rise
from torch import Tensor

from alp.attacks import ATTACKS, NES, SPSA, Asking, Linf, RayS, Square
from alp.attacks.estimates import estimated
from alp.attacks.rays import following_block, turned
from alp.errors import ConfigError
from alp.seeding import generator, normal

ASKING = {name: kind() for name, kind in ATTACKS.items() if issubclass(kind, Asking)}
every_attack = pytest.mark.parametrize("name", ASKING)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))


def held(attack: Asking, target, x: Tensor, threat, start=None, y: Tensor = Y) -> list[Tensor]:
    return list(attack.search(target, x, y, threat, generator(0, "attack"), start))


def test_all_of_them_are_known() -> None:
    assert list(ASKING) == ["square", "nes", "spsa", "rays"]


@pytest.mark.parametrize("kind", [NES, SPSA])
def test_the_estimate_tends_to_the_gradient(kind: type[NES] | type[SPSA]) -> None:
    """Of a linear function with gradient w of d entries, the mean over n directions has an expected
    squared cosine with w of n / (n + d), or nearly: the error falls as 1 / n."""
    weight, x, source = rise(linear(2, 3)[1], Y), middle(6), generator(0, "directions")
    for pairs in (12, 48, 480):
        found = estimated(
            lambda points: (points * weight).sum((1, 2, 3)),
            x,
            lambda: kind().direction(x, source),
            pairs,
            0.01,
        )
        squared = cosine(found, weight).square().mean()
        assert squared == pytest.approx(pairs / (pairs + 48), abs=0.12)
    assert (found - weight).flatten(1).norm(dim=1).mean() < 0.4 * weight.flatten(1).norm(dim=1)[0]


@pytest.mark.parametrize("kind", [NES, SPSA])
@pytest.mark.parametrize("threat", THREAT.values(), ids=str)
def test_estimated_ascent_comes_near_the_optimum(kind: type[NES] | type[SPSA], threat) -> None:
    target, weight = linear(2, 4)
    x = middle(6)
    attack = kind(queries=4000, pairs=20, step_size=threat.eps / 20)
    x_adv = attack(target, x, Y, threat, generator(1, "attack"))
    assert (gained(x_adv, x, weight, threat) > 0.93).all()


def test_rays_finds_the_nearest_direction_of_a_linear_model() -> None:
    """In Linf the boundary <w, x> = -b is nearest along sign(w), at |margin| / ||w||_1."""
    target, weight = linear(2, 5)
    x = middle(6)
    y = target(x).argmax(1)
    slope = rise(weight, y)
    margins = (slope * x).sum((1, 2, 3))
    nearest = -margins / slope.abs().sum((1, 2, 3))
    eps, tolerance = 0.02, 1e-5
    final = RayS(3000, tolerance)(target, x, y, Linf(eps), generator(0, "attack"))
    assert torch.allclose((final - x).abs(), torch.tensor(eps), atol=1e-6)
    gains = (slope * (final - x)).sum((1, 2, 3)) / eps
    # a block that is turned wrongly is accepted only within the tolerance of the radius
    radius = -margins / gains
    assert ((radius - nearest) >= -1e-6).all()
    assert ((radius - nearest) <= 2 * tolerance).all()


def test_rays_asks_one_question_a_call_and_needs_the_decision_alone() -> None:
    target, _ = linear(2, 5)
    x = middle(6)

    def decided(points: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(target(points).argmax(1), 2).float()

    first, second = (held(RayS(200), each, x, Linf(0.05)) for each in (target, decided))
    assert len(first) == 201
    assert torch.equal(first[-1], second[-1])


def test_blocks_of_signs_go_from_the_whole_image_to_values_and_start_over() -> None:
    signs = torch.ones(1, 3, 1, 2)
    stage, block = torch.tensor([0]), torch.tensor([0])
    shown = []
    for _ in range(14):
        shown.append("".join("+-"[int(v < 0)] for v in turned(signs, stage, block).flatten()))
        stage, block = following_block(stage, block, torch.tensor([True]), 6)
    assert shown[:3] == ["------", "---+++", "+++---"]
    assert shown[3:6] == ["--++++", "++--++", "++++--"]
    assert shown[6:12] == ["+" * k + "-" + "+" * (5 - k) for k in range(6)]
    assert shown[12:] == shown[:2]
    still = following_block(torch.tensor([1]), torch.tensor([0]), torch.tensor([False]), 6)
    assert [int(each) for each in still] == [1, 0]


@every_attack
@pytest.mark.parametrize("allowed", [1, 2, 3, 19, 20, 41, 300])
def test_no_question_more_than_allowed_and_no_whole_step_fewer(name: str, allowed: int) -> None:
    target, _ = linear(2, 6)
    asked = 0

    def counted(points: Tensor) -> Tensor:
        nonlocal asked
        asked += 1
        return target(points)

    for settings in [{"rescored": False}, {}] if name == "square" else [{}]:
        attack, asked = ATTACKS[name](**settings).within(allowed), 0
        step = {"nes": 20, "spsa": 20, "rays": 1}.get(name, 1 if settings else 2)
        least = 2 if name == "square" else step
        if attack is None:
            assert allowed < least
            continue
        held(attack, counted, middle(6), Linf(0.05))
        assert asked == attack.calls[1]
        assert allowed - step < asked <= allowed


@every_attack
def test_the_points_held_are_inside_from_the_first_on(name: str) -> None:
    target, _ = linear(2, 7)
    x, threat = middle(6), Linf(0.05)
    attack = ASKING[name].within(60)
    start = threat.random_start(x, generator(3, "start"))
    for points in (held(attack, target, x, threat), held(attack, target, x, threat, start)):
        assert all(threat.distance(point, x).max() <= 0.05 + 1e-6 for point in points)
        assert torch.equal(points[-1], held(attack, target, x, threat)[-1]) or points[0] is start
    assert points[0] is start


@every_attack
def test_a_start_that_fools_already_is_not_lost(name: str) -> None:
    target, weight = linear(2, 8)
    x, threat = middle(6), Linf(0.05)
    y = target(x).argmax(1)
    slope = rise(weight, y)
    points = held(ASKING[name].within(100), target, x, threat, x + 0.05 * slope.sign(), y)
    most = 0.05 * slope.abs().sum((1, 2, 3))
    assert ((slope * (points[-1] - x)).sum((1, 2, 3)) > 0.75 * most).all()


@pytest.mark.parametrize("kind", [NES, SPSA])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"queries": 19}, "queries is 19, and an estimate of 10 pairs takes 20"),
        ({"queries": 0}, "queries is 0; give a whole number"),
        ({"pairs": 2.5}, "pairs is 2.5; give a whole number"),
        ({"delta": 0.0}, "delta is 0.0; give a finite number above zero"),
        ({"step_size": -1.0}, "step_size is -1.0; give a finite number above zero"),
        ({"momentum": 1.0}, "momentum is 1, which never takes a new direction"),
        ({"momentum": math.nan}, "momentum is nan; give a finite number from 0 to 1"),
    ],
)
def test_settings_that_cannot_be_are_named(kind: type[NES], settings, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        kind(**settings)


@pytest.mark.parametrize("settings", [{"queries": 0}, {"tolerance": 0.0}])
def test_settings_of_rays_are_checked(settings) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(ConfigError, match=f"{name} is {value}; give a"):
        RayS(**settings)


def test_noise_is_averaged_by_who_asks() -> None:
    """What an attacker sees of a random target is what the target answers: under noise as large as
    the signal an ascent on answers averaged 16 times gains more than one on single answers."""
    _, weight = linear(2, 9)
    x, threat = middle(6), Linf(0.1)
    gains = []
    for answers in (1, 16):
        source = generator(4, "draw")

        def noisy(points: Tensor, answers: int = answers, source=source) -> Tensor:
            noise = normal((answers, len(points), 2), source).mean(0)
            return points.flatten(1) @ weight.T + noise

        x_adv = NES(400)(noisy, x, Y, threat, generator(4, "attack"))
        gains.append(gained(x_adv, x, weight, threat).mean())
    assert gains[1] > gains[0] + 0.05


def test_square_without_a_second_look_takes_the_start_and_one_a_candidate() -> None:
    assert Square(rescored=False).within(10) == Square(9, rescored=False)
    assert Square().within(10) == Square(5)
