"""Measures of picture quality over the noise level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from alp.experiments.claims import Claim
from alp.experiments.measures.base import (
    Runs,
    Value,
    deviation,
    difference_of_means,
    mean_of_trials,
    same_images,
)
from alp.experiments.measures.points import at, curves, records_of, trials_of, words_of
from alp.records import CLEAN, KIND_POINTS, Kept, Measured, measured
from alp.records.points import Estimate, mean
from alp.records.statistics import Interval


def at_sigma(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Mean PSNR in dB of purified clean images at the measured noise level nearest to ``sigma``:
    of purifiers at the level of their training, where an experiment has such, else of one whose
    level was set afterwards."""
    wanted = (claim.setting or {})["sigma"]
    for item in claim.items:
        found = [
            (each, point)
            for each in records_of(runs, item, KIND_POINTS)
            for point in _clean(measured(each.record))
        ]
        found = [pair for pair in found if _is_own(*pair)] or found
        if found:
            kept, point = min(found, key=lambda pair: abs(_sigma(pair[1]) - wanted))
            words = f"sigma {_sigma(point):.3g}, {item}"
            found_mean = mean(point.psnr)
            yield Value(words, found_mean.value, [kept], Interval(found_mean.low, found_mean.high))


def _is_own(kept: Kept, point: Measured) -> bool:
    return bool(point.sigma == kept.record.header["sigma"])


def ends(runs: Runs, claim: Claim) -> Iterator[Value]:
    """How far, in dB, the ends of the curve are from the published ones: the farther end, mean
    over trials."""
    setting = claim.setting or {}
    for item in claim.items:
        for name, records in curves(runs, claim, item):
            trials = [points for each in trials_of(records) if (points := _clean(each))]
            if trials and same_images(records):
                least, most = (
                    mean(mean_of_trials([points[end].psnr for points in trials])) for end in (0, -1)
                )
                off = max(
                    (_off(least, setting["least"]), _off(most, setting["most"])),
                    key=lambda each: each.value,
                )
                first, last = (_sigma(trials[0][end]) for end in (0, -1))
                words = f"{least.value:.2f} dB at sigma {first:g}, {most.value:.2f} at {last:g}"
                interval = Interval(off.low, off.high)
                yield Value(words_of(claim, name, words), off.value, records, interval)


def _off(found: Estimate, published: float) -> Estimate:
    """How far a mean is from a published one, and the ends of its interval."""
    apart, low, high = (each - published for each in (found.value, found.low, found.high))
    if low <= 0 <= high:
        return Estimate(abs(apart), 0.0, max(-low, high))
    return Estimate(abs(apart), *sorted((abs(low), abs(high))))


def fall(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The smallest fall of mean PSNR, in dB, from one noise level to the next, with the interval of
    its paired difference: of means over trials of the same levels."""
    for item in claim.items:
        for name, records in curves(runs, claim, item):
            trials = [_clean(points) for points in trials_of(records)]
            levels = {tuple(map(_sigma, points)) for points in trials}
            if len(levels) == 1 and same_images(records):
                means = [
                    mean_of_trials([point.psnr for point in points])
                    for points in zip(*trials, strict=True)
                ]
                steps = [
                    difference_of_means(words_of(claim, name), above, below, records, scale=1)
                    for above, below in pairwise(means)
                ]
                if steps:
                    yield min(steps, key=lambda step: step.value)


def spread(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The largest standard deviation of PSNR, in dB, at any noise level that all trials share: of
    the trials' means, and of one trial's images."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    if len(records) > 1 and same_images(records):
        of_sigma: dict[float, list[Measured]] = {}
        for each in records:
            for point in _clean(measured(each.record)):
                of_sigma.setdefault(_sigma(point), []).append(point)
        shared = [points for points in of_sigma.values() if len(points) == len(records)]
        yield from _deviations(shared, records)


def _deviations(shared: Sequence[Sequence[Measured]], records: Sequence[Kept]) -> Iterator[Value]:
    if shared:
        of_trials = [[_mean(point) for point in points] for points in shared]
        yield _largest(f"over {len(records)} trials", of_trials, records)
        of_images = [point.psnr.tolist() for points in shared for point in points]
        yield _largest("over the images", of_images, records)


def _largest(words: str, values: Sequence[Sequence[float]], records: Sequence[Kept]) -> Value:
    return max((deviation(words, each, records) for each in values), key=lambda each: each.value)


def _clean(points: Iterable[Measured]) -> list[Measured]:
    """Those without an attack, by rising noise."""
    return sorted(at(points, CLEAN), key=_sigma)


def _mean(point: Measured) -> float:
    return float(point.psnr.mean(dtype=np.float64))


def _sigma(point: Measured) -> float:
    return 0.0 if point.sigma is None else point.sigma
