"""Medians, percentiles, and ratios with their intervals. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp import seeding

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
