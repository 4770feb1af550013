"""Both sides of what the statistics accept, and the ends of their intervals to the last digit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alp import seeding
from alp.errors import ConfigError
from alp.records.statistics import (
    Series,
    clustered,
    few_images,
    mean_sd,
    normal_quantile,
    paired_difference,
    ratio,
    wilson,
)

JUST = 1e-9


@pytest.mark.parametrize(
    ("confidence", "quantile"), [(0.5, 0.6744898), (0.95, 1.9599640), (0.99, 2.5758293)]
)
def test_quantiles_of_both_sides(confidence: float, quantile: float) -> None:
    assert normal_quantile(confidence) == pytest.approx(quantile, abs=1e-7)


def test_a_confidence_lies_inside_zero_and_one() -> None:
    for confidence in (JUST, 1 - JUST):
        assert math.isfinite(normal_quantile(confidence))
    for confidence in (0, 1, -JUST, 1 + JUST):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            normal_quantile(confidence)


def test_wilson_of_one_image_and_of_none() -> None:
    """At one image the interval is z^2 / (1 + z^2) wide."""
    width = 1.959964**2 / (1 + 1.959964**2)
    assert wilson(0, 1) == pytest.approx((0, width))
    assert wilson(1, 1) == pytest.approx((1 - width, 1))
    assert wilson(0, 1).low == 0
    assert wilson(1, 1).high == 1
    for successes, n in ((0, 0), (-JUST, 1), (1 + JUST, 1)):
        with pytest.raises(ConfigError, match="successes"):
            wilson(successes, n)


def test_wilson_of_a_fraction_of_an_image_lies_between_its_neighbours() -> None:
    below, between, above = (wilson(each, 10).low for each in (4, 4.5, 5))
    assert below < between < above


def test_two_values_have_a_deviation() -> None:
    assert mean_sd([1, 3]) == pytest.approx((2, math.sqrt(2)))


@pytest.mark.parametrize("wrong", [-JUST, 1 + JUST, math.nan])
def test_correctness_is_a_share(wrong: float) -> None:
    good = [0.0, 1.0, 0.5]
    assert paired_difference(good, good)[0] == 0
    for pair in ((good, [0.0, wrong, 0.5]), ([0.0, wrong, 0.5], good)):
        with pytest.raises(ConfigError, match=r"shares in \[0,1\]"):
            paired_difference(*pair)


@pytest.mark.parametrize("shape", [(3, 1), ()])
def test_correctness_is_a_column(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="two columns"):
        paired_difference(np.zeros(shape), np.zeros(shape))


def test_a_paired_difference_ends_where_all_images_differ() -> None:
    mean, interval = paired_difference([1.0], [0.0])
    assert mean == 1
    assert interval.high == 1
    mean, interval = paired_difference([0.0], [1.0])
    assert mean == -1
    assert interval.low == -1
    narrow, wide = (paired_difference([1, 0, 0], [0, 0, 0], each)[1] for each in (0.5, 0.95))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_ratio_is_bootstrapped_two_thousand_times_between_the_same_percentiles() -> None:
    above, below = np.array([3.0, 5.0, 9.0, 4.0]), np.array([2.0, 1.0, 6.0])
    random = np.random.default_rng(seeding.derive(0, "bootstrap"))
    first, second = (random.integers(n, size=(2000, n)) for n in (4, 3))
    ratios = np.median(above[first], axis=1) / np.median(below[second], axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    found = ratio(Series(np.arange(4), above), Series(np.arange(3), below))
    assert (found.value, found.low, found.high) == (4.5 / 2, low, high)
    assert vars(found.times(3)) == {"value": 3 * 2.25, "low": 3 * low, "high": 3 * high}


def test_clusters_are_worth_fewer_images() -> None:
    """By hand: sums 1, -1 and 0 around 0.5, a variance of 3/2 * 2 / 36, worth 3 images, and
    Student's quantile of 2 degrees, 4.3027."""
    found = clustered(np.array([1, 1, 0, 0, 1, 0]), np.array([0, 0, 1, 1, 2, 2]))
    assert found == pytest.approx((0.036172, 0.963828), abs=1e-5)


def test_clusters_that_do_not_scatter_count_as_an_image_each() -> None:
    """Two of 1: the score interval of two images with the quantile of 1 degree, 12.7062."""
    found = clustered(np.ones(6), np.array([0, 0, 0, 1, 1, 1]))
    assert found == pytest.approx((2 / (2 + 12.7062**2), 1.0), abs=1e-5)


def test_one_cluster_says_nothing() -> None:
    assert clustered(np.array([1, 0, 1]), np.zeros(3)) == (0.0, 1.0)


def test_few_images_are_told_their_widest_interval() -> None:
    """Of 50 images it goes from 36.6 to 63.4 %, where half are right."""
    (told,) = few_images(50)
    assert "50 images are few" in told
    assert "can be 27 points wide" in told
    assert few_images(99)
    assert not few_images(100)
