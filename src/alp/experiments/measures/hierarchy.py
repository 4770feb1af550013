"""Measures of Table II: the accuracies of its rows, their order, and what stands beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import Claim, claims
from alp.experiments.measures.base import Runs, Value, difference, named, over_trials, same_images
from alp.records import Kept, aggregate
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
    """Mean PSNR of purified images, in dB."""
    records = named(runs.get(ITEM, ()), claim.row)
    values = [aggregate([each.record])["psnr"] for each in records]
    if records and None not in values:
        yield over_trials("", [value["value"] for value in values], records)


def slower(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Times that the median latency of a row's prediction is another's, trial by trial; a row that
    was trained once is compared with every trial."""
    row, other = (named(runs.get(ITEM, ()), name) for name in (claim.row, claim.against))
    if row and len(other) in (1, len(row)):
        pairs = list(zip(_by_trial(row), _by_trial(other) * (len(row) // len(other)), strict=True))
        ratios = [_median_ms(above) / _median_ms(below) for above, below in pairs]
        where = timing_words(row[0].record.header["latency"])
        yield over_trials(where, ratios, [*row, *other])


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


def _by_trial(records: Sequence[Kept]) -> list[Kept]:
    return sorted(records, key=lambda each: int(each.record.header["trial"]))


def _median_ms(kept: Kept) -> float:
    return float(kept.record.header["latency"]["predict"]["median_ms"])


def _has(records: Sequence[Kept], level: str) -> bool:
    return all(f"{level}_correct" in each.record.columns for each in records)


def _share(records: Sequence[Kept], level: str) -> NDArray[np.floating]:
    """The share of trials that have each image right, (n,)."""
    columns = [each.record.columns[f"{level}_correct"] for each in records]
    share: NDArray[np.floating] = np.mean(columns, axis=0, dtype=np.float64)
    return share
