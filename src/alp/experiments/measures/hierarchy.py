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


def deviation(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Sample deviation over trials of the accuracy under attack, in points."""
    for value in robust(runs, claim):
        if value.sd is not None:
            yield Value(value.protocol, value.sd, value.records)


def psnr(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Mean PSNR of purified images, in dB."""
    yield from _number(runs, claim, "psnr")


def latency(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Median latency of a deployed prediction of one image, in ms."""
    yield from _number(runs, claim, "latency_ms")


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


def _number(runs: Runs, claim: Claim, key: str) -> Iterator[Value]:
    records = named(runs.get(ITEM, ()), claim.row)
    values = [aggregate([each.record])[key] for each in records]
    if records and None not in values:
        where = timing_words(records[0].record.header["latency"]) if key == "latency_ms" else ""
        yield over_trials(where, [value["value"] for value in values], records)


def _has(records: Sequence[Kept], level: str) -> bool:
    return all(f"{level}_correct" in each.record.columns for each in records)


def _share(records: Sequence[Kept], level: str) -> NDArray[np.floating]:
    """The share of trials that have each image right, (n,)."""
    columns = [each.record.columns[f"{level}_correct"] for each in records]
    share: NDArray[np.floating] = np.mean(columns, axis=0, dtype=np.float64)
    return share
