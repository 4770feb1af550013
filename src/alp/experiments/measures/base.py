"""What a measurement of a claim is, and the parts that several measures share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import Claim
from alp.records import Kept
from alp.records.statistics import Interval, mean_sd, normal_quantile, paired_difference

Runs = Mapping[str, Sequence[Kept]]
"""Experiment to the records of one run of it; an experiment that was not run is absent."""


@dataclass(frozen=True)
class Value:
    """A measurement, in the unit of the claim."""

    protocol: str
    """Under which; empty where there is only one."""
    value: float
    """The number."""
    records: Sequence[Kept]
    """What it was measured on."""
    interval: Interval | None = None
    """Its 95 % interval: over images, or over trials or rounds of timing where there are no images
    that they share."""
    sd: float | None = None
    """Its sample deviation over trials."""


Measure = Callable[[Runs, Claim], Iterable[Value]]
"""A measurement of a claim under each protocol that the records allow; none where they do not."""


def over_trials(
    protocol: str, values: Sequence[float], records: Sequence[Kept], scale: float = 1.0
) -> Value:
    """Mean and deviation over trials, and, of several, the interval of the mean by Student's t."""
    scaled = [scale * value for value in values]
    mean, sd = mean_sd(scaled)
    if len(scaled) == 1:
        return Value(protocol, mean, records)
    from scipy import stats

    half = float(stats.t.ppf(0.975, len(scaled) - 1)) * sd / math.sqrt(len(scaled))
    return Value(protocol, mean, records, Interval(mean - half, mean + half), sd)


def deviation(
    protocol: str, values: Sequence[float], records: Sequence[Kept], scale: float = 1.0
) -> Value:
    """The sample deviation of ``values``, at least two trials or images, with its interval by
    chi-squared, for values that are normal: of five trials 0.6 to 2.9 times what they show."""
    from scipy import stats

    _, sd = mean_sd([scale * value for value in values])
    free = len(values) - 1
    low, high = (sd * math.sqrt(free / float(stats.chi2.ppf(p, free))) for p in (0.975, 0.025))
    return Value(protocol, sd, records, Interval(low, high))


def mean_of_trials(values: Sequence[NDArray[Any]]) -> NDArray[np.floating]:
    """What trials on the same images say of each, (n,), averaged over the trials."""
    mean: NDArray[np.floating] = np.mean(values, axis=0, dtype=np.float64)
    return mean


def difference(
    protocol: str, a: NDArray[np.floating], b: NDArray[np.floating], records: Sequence[Kept]
) -> Value:
    """Points by which ``a`` is right more often than ``b``: shares of trials on the same images,
    (n,) each, with the interval of their paired difference."""
    mean, (low, high) = paired_difference(a, b)
    return Value(protocol, 100 * mean, records, Interval(100 * low, 100 * high))


def difference_of_means(
    protocol: str,
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    records: Sequence[Kept],
    scale: float = 100.0,
) -> Value:
    """Points, or other units by ``scale``, by which the mean of ``a`` is above that of ``b``, (n,)
    each on the same images, of quantities that have no bounds: with the normal interval of their
    paired difference."""
    apart = scale * (a.astype(np.float64) - b.astype(np.float64))
    error = apart.std(ddof=1) / math.sqrt(len(apart)) if len(apart) > 1 else 0.0
    half = normal_quantile(0.95) * float(error)
    mean = float(apart.mean())
    return Value(protocol, mean, records, Interval(mean - half, mean + half))


def named(records: Iterable[Kept], name: str) -> list[Kept]:
    """The records of one defence."""
    return [each for each in records if each.record.name == name]


def shared_rows(a: Kept, b: Kept) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows of ``a`` and those of ``b`` that are of the same images, in the same order; none
    where the records are of other data."""
    data = [[each.record.header["data"].get(key) for key in ("name", "split")] for each in (a, b)]
    if data[0] != data[1]:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    columns = (a.record.columns["index"], b.record.columns["index"])
    _, rows_a, rows_b = np.intersect1d(*columns, assume_unique=True, return_indices=True)
    return rows_a, rows_b


def same_images(records: Sequence[Kept]) -> bool:
    """Whether the records are of the same images, so that they may be compared one by one."""
    digests = {each.record.header.get("data_digest") for each in records}
    return len(digests) == 1 and len({len(each.record) for each in records}) == 1
