"""Measures of Table II: the accuracies of its rows, their order, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import Claim, claims
from alp.experiments.measures.base import (
    Runs,
    Value,
    difference,
    mean_of_trials,
    named,
    over_trials,
    same_images,
)
from alp.records import Kept, aggregate
from alp.records.points import mean
from alp.records.statistics import Interval
from alp.report.format import timing_words

ITEM = "hierarchy"


def robust(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Accuracy of a row under attack, in per cent."""
    records = named(runs.get(ITEM, ()), claim.row)
    if not records:
        return
    row = aggregate([each.record for each in records])
    for level in claim.protocols:
        if level in row["robust"]:
            found = row["robust"][level]
            interval = Interval(100 * found["low"], 100 * found["high"])
            sd = None if found["sd"] is None else 100 * found["sd"]
            yield Value(level, 100 * found["value"], records, interval, sd)


def psnr(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Mean PSNR of purified images, in dB: over the trials, whose deviation stands beside it, with
    the interval over their images."""
    records = named(runs.get(ITEM, ()), claim.row)
    values = [aggregate([each.record])["psnr"] for each in records]
    if records and None not in values and same_images(records):
        found = over_trials("", [value["value"] for value in values], records)
        images = mean(mean_of_trials([each.record.columns["psnr"] for each in records]))
        yield replace(found, interval=Interval(images.low, images.high))


def slower(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Times that the median latency of a row's prediction is another's, in each trial that both
    have."""
    row, other = (named(runs.get(ITEM, ()), name) for name in (claim.row, claim.against))
    pairs = [(above, below) for above in row for below in other if _trial(above) == _trial(below)]
    if pairs:
        ratios = [_median_ms(above) / _median_ms(below) for above, below in pairs]
        where = timing_words(row[0].record.header["latency"])
        records = dict.fromkeys(each.path for pair in zip(*pairs, strict=True) for each in pair)
        yield over_trials(where, ratios, [e for e in (*row, *other) if e.path in records])


def order(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The smallest step from a row of the table to the next, in points."""
    names = dict.fromkeys(each.row for each in claims() if each.quantity == "robust")
    rows = [named(runs.get(ITEM, ()), name) for name in names]
    if all(rows) and same_images([each for row in rows for each in row]):
        for level in claim.protocols:
            steps = [
                difference(level, _share(above, level), _share(below, level), [*below, *above])
                for below, above in pairwise(rows)
                if _has(below, level) and _has(above, level)
            ]
            if len(steps) == len(rows) - 1:
                yield min(steps, key=lambda step: step.value)


def gain(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that a row is above another, on the same images."""
    row, other = (named(runs.get(ITEM, ()), name) for name in (claim.row, claim.against))
    if row and other and same_images([*row, *other]):
        for level in claim.protocols:
            if _has(row, level) and _has(other, level):
                shares = (_share(row, level), _share(other, level))
                yield difference(level, *shares, [*row, *other])


def _trial(kept: Kept) -> int:
    return int(kept.record.header["trial"])


def _median_ms(kept: Kept) -> float:
    return float(kept.record.header["latency"]["predict"]["median_ms"])


def _has(records: Sequence[Kept], level: str) -> bool:
    return all(f"{level}_correct" in each.record.columns for each in records)


def _share(records: Sequence[Kept], level: str) -> NDArray[np.floating]:
    """The share of trials that have each image right, (n,)."""
    columns = [each.record.columns[f"{level}_correct"] for each in records]
    share: NDArray[np.floating] = np.mean(columns, axis=0, dtype=np.float64)
    return share
