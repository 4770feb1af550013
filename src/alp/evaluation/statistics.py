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
    a: NDArray[Any] | Sequence[bool], b: NDArray[Any] | Sequence[bool], confidence: float = 0.95
) -> tuple[float, Interval]:
    """How much more often ``a`` is correct than ``b`` on the same images: (mean, interval).

    Two rows of one table are judged on the same images, so that only the images on which they
    disagree count: the interval is far narrower than the two Wilson intervals suggest. The
    interval is Wald's with half a pseudo-image added to each of the four cells (Agresti and Min
    2005, section 3), which keeps its coverage, and a width, where few images or none disagree.

    Raises:
        ConfigError: the two are empty or of different lengths.
    """
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ConfigError(
            f"correctness of shapes {first.shape} and {second.shape}; give two columns (n,) of "
            "the same images"
        )
    n = len(first)
    only_a = int((first & ~second).sum())
    only_b = int((second & ~first).sum())
    size, apart, disagree = n + 2, only_a - only_b, only_a + only_b + 1
    half = normal_quantile(confidence) * math.sqrt(disagree - apart**2 / size) / size
    centre = apart / size
    return apart / n, Interval(max(-1.0, centre - half), min(1.0, centre + half))
