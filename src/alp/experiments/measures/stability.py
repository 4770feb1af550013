"""Measures of how far trials are apart: accuracy, learned noise, picture quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alp.experiments.claims import Claim
from alp.experiments.measures import hierarchy
from alp.experiments.measures.base import Runs, Value, deviation, named, same_images
from alp.experiments.measures.points import at, records_of, words_of
from alp.records import KIND_POINTS, Kept, measured


def accuracy(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The deviation over trials, in points, of the accuracy of a row under attack at ``eps``: in
    Table II, and in every further experiment that evaluates the trials at their learned sigma."""
    table = named(runs.get(hierarchy.ITEM, ()), claim.row)
    for level in claim.protocols:
        shares = [
            [float(each.record.columns[f"{level}_correct"].mean())]
            for each in table
            if f"{level}_correct" in each.record.columns
        ]
        yield from _apart(claim, hierarchy.ITEM, level, shares, table)
        for item in claim.items[1:]:
            records = named(records_of(runs, item, KIND_POINTS), claim.row)
            shares = [
                [
                    float(point.correct.mean())
                    for point in at(measured(each.record), level, (claim.setting or {})["eps"])
                    if point.sigma == each.record.header["sigma"]
                ]
                for each in records
            ]
            yield from _apart(claim, item, level, shares, records)


def _apart(
    claim: Claim,
    item: str,
    level: str,
    shares: Sequence[Sequence[float]],
    records: Sequence[Kept],
) -> Iterator[Value]:
    """Of an accuracy a trial; nothing where a trial has none, or there is one trial."""
    found = [share for trial in shares for share in trial]
    if len(found) == len(records) > 1 and same_images(records):
        images = f"{len(records[0].record):,} images"
        yield deviation(words_of(claim, item, f"{level}, {images}"), found, records, 100)
