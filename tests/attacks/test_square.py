from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_apgd import Y, bumpy, every_threat, gained
from test_linear_optima import linear, middle, saturated
from torch import Tensor

from alp.attacks import L2, THREATS, Linf, Threat
from alp.attacks.square import Square, bump, paint, share, stripes, swap, tiles
from alp.errors import ConfigError, UnknownNameError
from alp.seeding import Shard, generator, normal, uniform

NEAR = {"linf": 0.93, "l2": 0.35}
"""In L2 windows of 3 pixels cannot follow weights that are independent from pixel to pixel."""


def test_the_squares_shrink_by_the_schedule() -> None:
    at = [0, 10, 11, 50, 51, 201, 501, 1001, 2001, 4001, 6001, 8001, 9999]
    halvings = [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    assert [share(0.8, query, 10_000) for query in at] == [0.8 / 2**count for count in halvings]
    assert [share(0.8, query, 1000) for query in (1, 2, 801)] == [0.8, 0.4, 0.8 / 512]


def test_stripes_are_a_sign_a_column() -> None:
    start = stripes(torch.zeros(50, 3, 6, 5), generator(0, "start"))
    assert (start == start[:, :, :1]).all()
    assert (start.abs() == 1).all()
    assert abs(start[:, :, 0].mean()) < 0.15
    assert not torch.equal(start[0], start[1])


def test_a_painted_square_has_one_sign_a_channel_and_any_place() -> None:
    x = torch.full((400, 3, 6, 5), 0.5)
    moved = paint(x, x, 0.1, 2, generator(1, "paint")) - x
    touched = moved.abs() > 0
    assert torch.allclose(moved[touched].abs(), torch.tensor(0.2), atol=1e-6)
    assert (touched == touched[:, :1]).all()
    assert (touched[:, 0].any(2).sum(1) == 2).all()
    assert (touched[:, 0].any(1).sum(1) == 2).all()
    assert (moved.amax((2, 3)) * moved.amin((2, 3)) == 0).all()
    corners = touched[:, 0].flatten(1).float().argmax(1).bincount(minlength=30).view(6, 5)
    assert (corners[:5, :4] > 5).all()  # 20 places, 20 images at each
    assert corners.sum() == corners[:5, :4].sum()


@pytest.mark.parametrize("side", range(1, 12))
def test_a_bump_is_two_pyramids_of_length_one(side: int) -> None:
    pattern = bump(side)
    assert pattern.shape == (side, side)
    assert pattern.norm() == pytest.approx(1)
    half = side // 2
    assert (pattern[:half] > 0).all()
    assert (pattern[half:] < 0).all()
    if side >= 3:
        peak = pattern[half:].argmin()
        assert (peak // side, peak % side) == ((side - half) // 2, side // 2)


def test_the_pyramid_is_the_sum_of_the_paper() -> None:
    """A side of 4: above, 2 rows around (1, 2): 1 + 1/4 + 1/9, a ring of 1/4 + 1/9, one of 1/9."""
    inner, middle_ring, outer = 1 + 1 / 4 + 1 / 9, 1 / 4 + 1 / 9, 1 / 9
    above = torch.tensor([[outer] + 3 * [middle_ring], [outer, middle_ring, inner, middle_ring]])
    expected = torch.cat([above, -above])
    assert torch.allclose(bump(4), expected / expected.norm())


def test_tiles_cover_the_image_with_signs_of_their_own() -> None:
    start = tiles(torch.zeros(40, 3, 32, 11), generator(2, "start"))
    assert start.shape == (40, 3, 32, 11)
    assert (start != 0).all()
    first = start[:, :, :2, :2]
    assert torch.allclose(first.abs(), first[:1, :1].abs())
    assert abs(first[:, :, 0, 0].sign().mean()) < 0.3


@pytest.mark.parametrize("filled", [0.0, 0.5, 1.0])
def test_a_swap_uses_the_whole_radius_and_empties_a_window(filled: float) -> None:
    x = torch.full((64, 3, 9, 9), 0.5)
    threat = L2(0.3)
    point = threat.step(x, normal(x.shape, generator(3, "point")), filled * 0.3)
    moved = swap(point, x, 0.3, 4, generator(3, "swap"))
    assert torch.allclose(threat.distance(moved, x), torch.tensor(0.3), atol=1e-5)
    untouched = (moved == point).all(1).sum((1, 2))
    assert (untouched >= 81 - 2 * 16).all()
    emptied = (moved == x).all(1).sum((1, 2))
    if filled:
        assert (emptied > 0).float().mean() > 0.9
        assert emptied.max() == 16


@every_threat
@pytest.mark.parametrize("make", [middle, saturated])
@pytest.mark.parametrize("loss", ["ce", "margin"])
def test_it_comes_near_the_optimum_of_a_linear_model(
    loss: str, make: Callable[[int], Tensor], threat: Threat
) -> None:
    target, weight = linear(2, 4)
    x = make(6)
    x_adv = Square(400, loss=loss)(target, x, Y, threat, generator(4, "attack"))
    assert (gained(x_adv, x, weight, threat) > NEAR[kind(threat)]).all()


@every_threat
def test_more_queries_never_lower_the_loss_of_a_target_that_does_not_draw(threat: Threat) -> None:
    """Wrong images go on: the share gained rises long after the class has changed."""
    target, weight = linear(2, 4)
    x, points = middle(6), []

    def recorded(images: Tensor) -> Tensor:
        points.append(images)
        return target(images)

    Square(150)(recorded, x, Y, threat, generator(5, "attack"))
    incumbents = torch.stack([gained(point, x, weight, threat) for point in points[1::20]])
    assert (incumbents.diff(dim=0) >= -1e-5).all()
    assert (incumbents[-1] > incumbents[7]).any()


@every_threat
def test_a_masked_gradient_changes_nothing(threat: Threat) -> None:
    def masked(images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        return bumpy(images.detach())

    x, y = saturated(6), torch.arange(6) % 4
    results = [
        Square(20)(target, x, y, threat, generator(6, "attack")) for target in (bumpy, masked)
    ]
    assert torch.equal(*results)


@every_threat
@pytest.mark.parametrize("again", [True, False], ids=["scored again", "remembered"])
def test_a_lucky_incumbent_is_replaced(again: bool, threat: Threat) -> None:
    """The second call, the incumbent's first, gives a huge loss."""
    target, weight = linear(2, 7)
    x, calls, start = middle(6), 0, None

    def lucky_once(images: Tensor) -> Tensor:
        nonlocal calls, start
        calls += 1
        start = images if calls == 2 else start
        luck = 1000.0 if calls == 2 else 0.0
        return target(images) + luck * torch.nn.functional.one_hot(1 - Y, 2)

    x_adv = Square(300, rescored=again)(lucky_once, x, Y, threat, generator(7, "attack"))
    assert start is not None
    if again:
        assert (gained(x_adv, x, weight, threat) > 0.9 * NEAR[kind(threat)]).all()
    else:
        assert torch.equal(x_adv, start)


@every_threat
def test_under_noise_it_comes_near_the_optimum(threat: Threat) -> None:
    _, weight = linear(2, 8)
    source, x = generator(8, "draw"), middle(6)

    def noisy(images: Tensor) -> Tensor:
        weights = weight + 0.02 * normal((8, *weight.shape), source)
        return torch.einsum("bd,nkd->nbk", images.flatten(1), weights)

    x_adv = Square(400)(noisy, x, Y, threat, generator(8, "attack"))
    assert (gained(x_adv, x, weight, threat) > 0.85 * NEAR[kind(threat)]).all()


@every_threat
def test_a_target_that_does_not_draw_needs_no_second_look(threat: Threat) -> None:
    x, y = saturated(6), torch.arange(6) % 4
    twice, once = (
        Square(60, rescored=again)(bumpy, x, y, threat, generator(10, "attack"))
        for again in (True, False)
    )
    assert torch.equal(twice, once)


@every_threat
@pytest.mark.parametrize(("rescored", "scores"), [(True, 34), (False, 18)])
def test_it_scores_as_often_as_it_says(threat: Threat, rescored: bool, scores: int) -> None:
    calls = 0

    def counted(images: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return bumpy(images)

    attack = Square(17, rescored=rescored)
    attack(counted, saturated(4), torch.arange(4), threat, generator(9, "attack"))
    assert attack.calls == (0, calls) == (0, scores)


@pytest.mark.parametrize("name", THREATS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (7, 3), (12, 12)])
def test_images_of_any_size_stay_where_they_may(name: str, shape: tuple[int, int]) -> None:
    x = uniform((3, 3, *shape), generator(10, "x")).double()
    threat, y = THREATS[name](0.2), torch.arange(3) % 2

    def target(images: Tensor) -> Tensor:
        return images.flatten(1)[:, :2] * 9

    first, again, other = (
        Square(60)(target, x, y, threat, generator(seed, "attack")) for seed in (1, 1, 2)
    )
    assert first.dtype == torch.float64
    assert threat.distance(first, x).max() <= 0.2 + 1e-6
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, again)
    assert shape == (1, 1) or not torch.equal(first, other)


@every_threat
def test_shards_draw_the_rows_of_the_whole_batch(threat: Threat) -> None:
    x, y, attack = saturated(6), torch.arange(6) % 4, Square(30)
    whole = attack(bumpy, x, y, threat, generator(11, "start"))
    parts = [
        attack(bumpy, x[rows], y[rows], threat, Shard(generator(11, "start"), rank, 2))
        for rank, rows in enumerate([slice(0, 3), slice(3, 6)])
    ]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


def test_another_threat_is_refused() -> None:
    class Other:
        eps = 0.1

    with pytest.raises(ConfigError, match="give Linf or L2"):
        Square(1)(bumpy, saturated(4), torch.arange(4), Other(), generator(0, "attack"))  # type: ignore[arg-type]


@given(p=st.floats(max_value=0) | st.floats(min_value=1, exclude_min=True) | st.just(math.nan))
def test_a_bad_share_is_refused(p: float) -> None:
    with pytest.raises(ConfigError, match=r"p is .*; give a"):
        Square(p=p)


@given(count=st.integers(max_value=0) | st.sampled_from([None, 1.5, "7", True]))
def test_a_bad_count_is_refused(count: object) -> None:
    with pytest.raises(ConfigError, match="queries is"):
        Square(queries=count)  # type: ignore[arg-type]


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="choose one of: ce, dlr, evasion, margin"):
        Square(loss="mse")


def kind(threat: Threat) -> str:
    return "linf" if isinstance(threat, Linf) else "l2"
