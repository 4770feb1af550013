"""Intervals and spreads: what has to stand beside every accuracy. Needs no torch.

Medians, percentiles, and ratios with their intervals. Needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alp import seeding
from alp.errors import ConfigError


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def normal_quantile(confidence: float) -> float:
    """The two-sided standard normal quantile, 1.96 for 0.95.

    Raises:
        ConfigError: ``confidence`` is not inside (0, 1).
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence is {confidence!r}; give a number between 0 and 1 (0.95)")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(successes: float, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of a share of ``n`` independent images (Wilson 1927).

    Unlike the Wald interval it keeps a width at 0 and at ``n`` successes, where robust accuracies
    of undefended models lie. ``successes`` may be fractional: ``n`` times a mean over trials on
    the same images.

    Raises:
        ConfigError: ``n`` is below 1, or ``successes`` is not inside [0, n].
    """
    if n < 1 or not 0 <= successes <= n:
        raise ConfigError(f"{successes!r} successes of {n!r} images; give 0 <= successes <= n, n>0")
    return _score_interval(successes / n, n, normal_quantile(confidence))


def _score_interval(share: float, n: float, z: float) -> Interval:
    scale = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / scale
    # At 0 and n successes an end equals the share exactly, but for rounding.
    return Interval(min(max(0.0, centre - half), share), max(min(1.0, centre + half), share))


FEW = 100
"""Images below which an accuracy is warned of: its interval can be 20 points wide and more."""


def few_images(count: int) -> list[str]:
    """A warning where so few images stand behind an accuracy that it says little."""
    if count >= FEW:
        return []
    found = wilson(count / 2, count)
    return [
        f"{count} images are few: the 95 % interval of an accuracy can be "
        f"{100 * (found.high - found.low):.0f} points wide; take {FEW} or more, and 500 for "
        "numbers that are quoted"
    ]


def clustered(shares: NDArray[Any], clusters: NDArray[Any], confidence: float = 0.95) -> Interval:
    """The interval of a mean over images whose outcomes go together within clusters, such as
    batches that one draw of a random defence serves.

    The variance is that of sums of clusters (Liang and Zeger 1986, without covariates, times
    G/(G-1) for G clusters). It says of how many independent images the mean is worth; for these the
    score interval is taken, with Student's t of G-1 degrees in place of the normal quantile. Where
    nothing scatters, each cluster counts as one image. A single cluster says nothing: [0,1].

    Args:
        shares: the outcome of each image, in [0,1], (n,).
        clusters: the cluster of each image, (n,).

    Raises:
        ConfigError: the two are empty or of different lengths.
    """
    values, groups = np.asarray(shares, dtype=np.float64), np.asarray(clusters)
    if values.ndim != 1 or values.shape != groups.shape or not len(values):
        raise ConfigError(
            f"shares of shape {values.shape} in clusters of shape {groups.shape}; give two columns "
            "(n,) of the same images"
        )
    names, places = np.unique(groups, return_inverse=True)
    count, n, mean = len(names), len(values), float(values.mean())
    if count < 2:
        return Interval(0.0, 1.0)
    from scipy import stats

    sums = np.bincount(places, values - mean)
    variance = count / (count - 1) * float((sums**2).sum()) / n**2
    worth = mean * (1 - mean) / variance if variance else count
    worth = min(float(n), max(worth, 1.0))
    quantile = float(stats.t.ppf((1 + confidence) / 2, count - 1))
    return _score_interval(mean, worth, quantile)


def accuracy_with_interval(
    share: float,
    images: int,
    shares: NDArray[Any] | None = None,
    batches: NDArray[Any] | None = None,
) -> dict[str, float]:
    """A share of images and its 95 % interval, as a dict of ``value``, ``low`` and ``high``: by
    Wilson, or, of outcomes ``shares`` (n,) that go together in ``batches`` (n,), that of
    :func:`clustered`."""
    if batches is None or shares is None:
        interval = wilson(float(share) * images, images)
    else:
        interval = clustered(shares, batches)
    return {"value": float(share), "low": interval.low, "high": interval.high}


def mean_sd(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); the deviation of a single value is NaN.

    Raises:
        ConfigError: there is no value.
    """
    if len(values) == 0:
        raise ConfigError("no values to average; give at least one")
    data = np.asarray(values, dtype=np.float64)
    return float(data.mean()), float(data.std(ddof=1)) if len(data) > 1 else math.nan


def paired_difference(
    a: NDArray[Any] | Sequence[float], b: NDArray[Any] | Sequence[float], confidence: float = 0.95
) -> tuple[float, Interval]:
    """How much more often ``a`` is correct than ``b`` on the same images: (mean, interval).

    Each gives an image's correctness, or the share of its predictions that are correct.

    Two rows of one table are judged on the same images, so that only the images on which they
    disagree count: the interval is far narrower than the two Wilson intervals suggest. The
    interval is Wald's with half a pseudo-image added to each of the four cells (Agresti and Min
    2005, section 3), which keeps its coverage, and a width, where few images or none disagree.

    Raises:
        ConfigError: the two are empty, of different lengths or not in [0,1].
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ConfigError(
            f"correctness of shapes {first.shape} and {second.shape}; give two columns (n,) of "
            "the same images"
        )
    for shares in (first, second):
        if not ((shares >= 0) & (shares <= 1)).all():
            raise ConfigError(f"correctness {shares}; give shares in [0,1]")
    n = len(first)
    apart, disagree = float((first - second).sum()), float(((first - second) ** 2).sum()) + 1
    size = n + 2
    half = normal_quantile(confidence) * math.sqrt(disagree - apart**2 / size) / size
    centre = apart / size
    return apart / n, Interval(max(-1.0, centre - half), min(1.0, centre + half))


RESAMPLES = 2000
"""Bootstrap samples behind an interval."""

Statistic = Callable[..., Any]
"""``numpy.median`` or ``numpy.mean``, along an axis."""


@dataclass(frozen=True)
class Series:
    """The timings of one contestant."""

    rounds: NDArray[np.int64]
    """The rounds in which it was timed, (n,)."""
    ms: NDArray[np.float64]
    """Milliseconds of its calls, (n,)."""


@dataclass(frozen=True)
class Ratio:
    """One contestant's time over another's."""

    value: float
    """The ratio of the two statistics."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""

    def times(self, factor: float) -> Ratio:
        """The same in other units."""
        return Ratio(self.value * factor, self.low * factor, self.high * factor)


def ratio(above: Series, below: Series, statistic: Statistic = np.median) -> Ratio:
    """The statistic of ``above`` over that of ``below``, with its percentile bootstrap interval
    (Efron 1979).

    Two that were timed in the same rounds are resampled by rounds, so that what slowed both down
    cancels; else each on its own, which widens the interval.
    """
    random = np.random.default_rng(seeding.derive(0, "bootstrap"))
    chosen = _resampled(random, len(above.ms))
    paired = np.array_equal(above.rounds, below.rounds)
    other = chosen if paired else _resampled(random, len(below.ms))
    ratios = statistic(above.ms[chosen], axis=1) / statistic(below.ms[other], axis=1)
    low, high = np.percentile(ratios, [2.5, 97.5])
    return Ratio(float(statistic(above.ms) / statistic(below.ms)), float(low), float(high))


def _resampled(random: np.random.Generator, size: int) -> NDArray[np.int64]:
    return random.integers(size, size=(RESAMPLES, size))
