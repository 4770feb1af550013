"""Intervals and spreads: what has to stand beside every accuracy. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    z = normal_quantile(confidence)
    share = successes / n
    scale = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / scale
    # At 0 and n successes an end equals the share exactly, but for rounding.
    return Interval(min(max(0.0, centre - half), share), max(min(1.0, centre + half), share))


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
