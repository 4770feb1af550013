"""Ratios of medians and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from alp.records.statistics import Series, ratio


def series(ms, rounds=None) -> Series:
    values = np.asarray(ms, float)
    return Series(np.arange(len(values)) if rounds is None else np.asarray(rounds), values)


def test_without_scatter_the_ratio_is_exact() -> None:
    found = ratio(series([6.0] * 5), series([2.0] * 4))
    assert (found.value, found.low, found.high) == (3, 3, 3)
    assert found.times(0.5).high == 1.5


def test_one_interruption_moves_the_mean_and_not_the_median() -> None:
    above, below = series([2.0] * 9 + [200.0]), series([1.0] * 10)
    assert ratio(above, below).value == 2
    assert ratio(above, below, np.mean).value == pytest.approx(21.8)


def test_what_slows_both_down_cancels_in_the_same_rounds() -> None:
    slow = np.random.default_rng(0).lognormal(0, 1, 60)
    above, below = 3 * slow, slow
    paired = ratio(series(above), series(below))
    apart = ratio(series(above), series(below, np.arange(60) + 1))
    assert (paired.low, paired.high) == pytest.approx((3, 3))
    assert apart.low < 2.7
    assert apart.high > 3.3


def test_the_interval_covers_the_ratio_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        found = ratio(series(random.lognormal(1, 0.3, 40)), series(random.lognormal(0, 0.3, 40)))
        covered += found.low <= np.e <= found.high
    assert covered >= 85
