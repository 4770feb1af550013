"""Measures of the field's studies: what robustness costs, which architecture, how few bits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from alp.experiments.claims import LEVEL, Claim
from alp.experiments.measures.base import (
    Runs,
    Value,
    difference,
    difference_of_means,
    mean_of_trials,
    named,
    same_images,
)
from alp.experiments.measures.points import at, records_of
from alp.records import CLEAN, KIND_CHAINS, KIND_POINTS, Kept, measured
from alp.records.chains import amplification, scheme
from alp.records.points import mean
from alp.records.statistics import Interval


def cost_of_radius(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The smallest step, in points, by which clean accuracy falls from one radius of training to
    the next larger one: means over the seeds, on the same images."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    of_radius: dict[float, list[Kept]] = {}
    for each in records:
        of_radius.setdefault(each.record.header["extra"]["trained_eps"], []).append(each)
    rising = [of_radius[radius] for radius in sorted(of_radius)]
    if len(rising) > 1 and same_images(records):
        shares = [
            np.stack([at(measured(each.record), CLEAN)[0].correct for each in group]).mean(0)
            for group in rising
        ]
        steps = [
            difference(f"{len(rising)} radii", less, more, records)
            for less, more in pairwise(shares)
        ]
        yield min(steps, key=lambda step: step.value)


def span(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points between the most and the least robust architecture of each training, under an attack
    of each radius that all were attacked at. Which these are is decided on every other image, and
    the points are those of the other half: the largest of several differences would be too large
    on its own images."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    for words, adversarial in (("AT", True), ("as usual", False)):
        mine = [
            each for each in records if each.record.header["extra"]["adversarial"] is adversarial
        ]
        if len(mine) > 1 and same_images(mine):
            attacked = [at(measured(each.record), LEVEL) for each in mine]
            for eps in dict.fromkeys(point.eps for point in attacked[0]):
                right = [p.correct for points in attacked for p in at(points, LEVEL, eps)]
                if len(right) == len(mine):
                    chosen = [each[::2].mean() for each in right]
                    best, worst = int(np.argmax(chosen)), int(np.argmin(chosen))
                    where = f"{words}, {255 * eps:.3g}/255"
                    yield difference(where, right[best][1::2], right[worst][1::2], mine)


def growth(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Times by which the difference of a quantised chain of ``steps`` steps from its float one
    exceeds that of independent errors, mean over images and trials."""
    steps = int((claim.setting or {})["steps"])
    for words, records in _chains(runs, claim).items():
        times = [amplification(each.record, steps) for each in records]
        followed = [each for each in times if each is not None]
        if len(followed) == len(records):
            found = mean(mean_of_trials(followed))
            yield Value(words, found.value, records, Interval(found.low, found.high))


def nearer(runs: Runs, claim: Claim) -> Iterator[Value]:
    """dB by which one quantised chain of ``steps`` steps ends nearer to the float one than another
    does, on the same noise: of the root mean squares of their distances, mean over images and
    trials."""
    steps = int((claim.setting or {})["steps"])
    chains = records_of(runs, claim.items[0], KIND_CHAINS)
    rows, others = (named(chains, name) for name in (claim.row, claim.against))
    if rows and others and same_images(chains):
        near, far = (
            mean_of_trials([20 * np.log10(e.record.columns[f"{steps}_difference"]) for e in trials])
            for trials in (rows, others)
        )
        yield difference_of_means(f"{steps} steps", far, near, [*rows, *others], 1.0)


def _chains(runs: Runs, claim: Claim) -> dict[str, list[Kept]]:
    """Each way to quantise, and its trials on the same images."""
    found: dict[str, list[Kept]] = {}
    for each in records_of(runs, claim.items[0], KIND_CHAINS):
        found.setdefault(scheme(each.record), []).append(each)
    return {words: records for words, records in found.items() if same_images(records)}
