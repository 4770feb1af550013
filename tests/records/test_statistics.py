from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alp.errors import ConfigError
from alp.records.statistics import mean_sd, paired_difference, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(successes, n, low, high):
    """Newcombe 1998, table I, method 3."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000), st.data())
def test_wilson_holds_the_share_and_mirrors(n, data):
    successes = data.draw(st.integers(0, n))
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert low < high
    mirrored = wilson(n - successes, n)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-12)
    wider = wilson(successes, n, confidence=0.99)
    assert wider.high - wider.low > high - low


@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5), (math.nan, 5)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ConfigError, match=str(n)):
        wilson(successes, n)


@pytest.mark.parametrize("confidence", [0, 1, 95, math.nan])
def test_confidence_has_to_be_a_share(confidence):
    with pytest.raises(ConfigError, match="confidence"):
        wilson(1, 2, confidence)


def test_mean_sd_is_the_sample_deviation():
    assert mean_sd([2, 4, 4, 4, 5, 5, 7, 9]) == pytest.approx((5, math.sqrt(32 / 7)))
    mean, sd = mean_sd([0.25])
    assert mean == 0.25
    assert math.isnan(sd)
    with pytest.raises(ConfigError, match="at least one"):
        mean_sd([])


def _pair(both, only_a, only_b, neither):
    a = [1] * both + [1] * only_a + [0] * only_b + [0] * neither
    b = [1] * both + [0] * only_a + [1] * only_b + [0] * neither
    return np.array(a, bool), np.array(b, bool)


@pytest.mark.parametrize("cells", [(30, 12, 4, 54), (0, 7, 0, 3), (5, 0, 0, 5), (0, 0, 1, 0)])
def test_paired_difference_is_wald_on_half_a_pseudo_image_more_a_cell(cells):
    a, b = _pair(*cells)
    mean, interval = paired_difference(a, b)
    assert mean == pytest.approx(a.mean() - b.mean())
    weights = np.array(cells) + 0.5
    values = np.array([0, 1, -1, 0])
    size = weights.sum()
    centre = (weights * values).sum() / size
    variance = (weights * (values - centre) ** 2).sum() / size**2
    half = 1.959964 * math.sqrt(variance)
    assert interval == pytest.approx((max(-1, centre - half), min(1, centre + half)), abs=1e-6)
    assert interval.low < mean < interval.high or abs(mean) == 1


def test_paired_difference_is_narrower_than_two_separate_intervals():
    a, b = _pair(480, 20, 0, 500)
    _, interval = paired_difference(a, b)
    assert interval.low > 0
    assert wilson(480, 1000).high > wilson(500, 1000).low


def test_paired_difference_covers():
    source = np.random.default_rng(0)
    cells = source.choice(4, size=(2000, 60), p=[0.5, 0.12, 0.04, 0.34])
    hits = 0
    for row in cells:
        _, interval = paired_difference(np.isin(row, [0, 1]), np.isin(row, [0, 2]))
        hits += interval.low <= 0.08 <= interval.high
    assert 0.94 <= hits / len(cells) <= 0.98


def test_paired_difference_refuses_different_images():
    with pytest.raises(ConfigError, match="same images"):
        paired_difference([True], [True, False])
    with pytest.raises(ConfigError, match="same images"):
        paired_difference([], [])
