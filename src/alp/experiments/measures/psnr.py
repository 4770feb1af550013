"""Measures of picture quality over the noise level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from alp.experiments.claims import Claim
from alp.experiments.measures.base import (
    Runs,
    Value,
    difference_of_means,
    over_trials,
    same_images,
)
from alp.experiments.measures.points import at, curves, records_of, trials_of, words_of
from alp.records import CLEAN, KIND_POINTS, Kept, Measured, measured


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
            yield over_trials(words, [_mean(point)], [kept])


def _is_own(kept: Kept, point: Measured) -> bool:
    return bool(point.sigma == kept.record.header["sigma"])


def ends(runs: Runs, claim: Claim) -> Iterator[Value]:
    """How far, in dB, the ends of the curve are from the published ones: the farther end, mean
    over trials."""
    setting = claim.setting or {}
    for item in claim.items:
        for name, records in curves(runs, claim, item):
            trials = [points for each in trials_of(records) if (points := _clean(each))]
            if trials:
                means = [[_mean(points[end]) for points in trials] for end in (0, -1)]
                least, most = (float(np.mean(each)) for each in means)
                off = max(abs(least - setting["least"]), abs(most - setting["most"]))
                first, last = (_sigma(trials[0][end]) for end in (0, -1))
                words = f"{least:.2f} dB at sigma {first:g}, {most:.2f} at {last:g}"
                yield Value(words_of(claim, name, words), off, records)


def fall(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The smallest fall of mean PSNR, in dB, from one noise level to the next, with the interval of
    its paired difference."""
    for item in claim.items:
        for name, records in curves(runs, claim, item):
            for points in trials_of(records) if same_images(records) else ():
                steps = [
                    difference_of_means(
                        words_of(claim, name), above.psnr, below.psnr, records, scale=1
                    )
                    for above, below in pairwise(_clean(points))
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
        trials = max(float(np.std([_mean(p) for p in points], ddof=1)) for points in shared)
        yield Value(f"over {len(records)} trials", trials, records)
        images = max(float(np.std(p.psnr, ddof=1)) for points in shared for p in points)
        yield Value("over the images", images, records)


def _clean(points: Iterable[Measured]) -> list[Measured]:
    """Those without an attack, by rising noise."""
    return sorted(at(points, CLEAN), key=_sigma)


def _mean(point: Measured) -> float:
    return float(point.psnr.mean(dtype=np.float64))


def _sigma(point: Measured) -> float:
    return 0.0 if point.sigma is None else point.sigma
