"""The rate-distortion objective against its definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from alp.data.quality import psnr
from alp.seeding import generator, normal, uniform
from alp.training.losses import distortion, rate, target_mse, update_multiplier


@pytest.mark.parametrize("shape", [(), (4, 1, 1)], ids=["scalar", "per-channel"])
def test_rate_is_the_divergence_from_the_standard_normal(shape) -> None:
    mu = 2 * normal((3, 4, 5, 6), generator(0, "mu"))
    sigma = 0.05 + uniform((4, 1, 1), generator(0, "sigma"))[: math.prod(shape) or 1].view(shape)
    expected = kl_divergence(Normal(mu, sigma.expand_as(mu)), Normal(0.0, 1.0)).sum((1, 2, 3))
    assert torch.allclose(rate(mu, sigma), expected, rtol=1e-5)


def test_rate_is_zero_for_a_channel_that_carries_nothing_and_grows_as_sigma_falls() -> None:
    mu = torch.zeros(1, 2, 2, 2)
    nats = [float(rate(mu, torch.tensor(sigma))) for sigma in (1.0, 0.5, 0.1, 0.01)]
    assert nats[0] == 0
    assert nats == sorted(nats)


def test_distortion_is_the_mean_square_of_each_image() -> None:
    x, y = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    y[1] = 0.5
    assert distortion(x, y).tolist() == [0, 0.25]


def test_the_target_is_in_the_decibels_of_the_evaluation() -> None:
    x, y = uniform((2, 1, 3, 8, 8), generator(0, "x"))
    assert target_mse(float(psnr(x, y))) == pytest.approx(float(distortion(x, y)), rel=1e-5)
    assert target_mse(25.68) == pytest.approx(0.0027, rel=0.01)


@given(st.floats(1, 60))
def test_the_target_inverts_the_decibels(db: float) -> None:
    assert -10 * math.log10(target_mse(db)) == pytest.approx(db)


@given(
    start=st.floats(-9, 9),
    ratio=st.floats(1.1, 1e6),
    target=st.floats(1e-4, 1e-2),
    step=st.floats(0.01, 1.0),
)
def test_the_multiplier_moves_towards_the_constraint(start, ratio, target, step) -> None:
    before = torch.tensor(start)
    up = float(update_multiplier(before, torch.tensor(target * ratio), target, step) - before)
    down = float(update_multiplier(before, torch.tensor(target / ratio), target, step) - before)
    assert 0 < up <= step * 1.01 + 1e-5
    assert up == pytest.approx(-down, rel=0.01, abs=1e-5)


@pytest.mark.parametrize(("start", "mse"), [(9.9, 1e6), (-9.9, 1e-9), (-9.9, 0.0)])
def test_the_multiplier_is_bounded(start: float, mse: float) -> None:
    """A constraint that cannot be met, or not be missed, ends in no overflow."""
    end = update_multiplier(torch.tensor(start), torch.tensor(mse), 0.01, 1.0)
    assert float(end) == math.copysign(10, start)


def test_the_multiplier_rests_on_the_constraint() -> None:
    start = torch.tensor(1.5)
    mse = torch.tensor(0.0027)
    assert float(update_multiplier(start, mse, float(mse), 0.1)) == pytest.approx(1.5, abs=1e-6)
