"""Measures by the adaptive evaluation: what masking and the purifier are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import Claim
from alp.experiments.measures.base import (
    Runs,
    Value,
    difference,
    mean_of_trials,
    named,
    over_trials,
    same_images,
)
from alp.records import KIND_VERDICT, Kept, accuracy, robust_share, worst
from alp.records.statistics import Interval, wilson

ITEM = "honest"
COMPACT = "compact"
WORST = "worst case"


def cost(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points of clean accuracy that an attacker of each level takes from a row."""
    records = named(runs.get(ITEM, ()), claim.row)
    if records and same_images(records):
        clean = mean_of_trials([clean_share(each) for each in records])
        for level in claim.protocols:
            shares = [under(each, level) for each in records]
            found = [share for share in shares if share is not None]
            if len(found) == len(records):
                yield difference(level, clean, mean_of_trials(found), records)


def gain(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that the worst case of a row is above another's, on the same images, and, where the
    claim is about it, that of the same row with a compact latent."""
    yield from _above(runs.get(ITEM, ()), claim.row, claim.against, WORST)
    if COMPACT in claim.items:
        verdicts = [e for e in runs.get(COMPACT, ()) if e.record.kind == KIND_VERDICT]
        for name in dict.fromkeys(
            e.record.name for e in verdicts if e.record.name != claim.against
        ):
            yield from _above(verdicts, name, claim.against, f"{WORST}, {COMPACT}")


def _above(records: Sequence[Kept], row: str, against: str, words: str) -> Iterator[Value]:
    ours, others = (named(records, name) for name in (row, against))
    if ours and others and same_images([*ours, *others]):
        first, second = (
            mean_of_trials([robust_share(each.record) for each in group])
            for group in (ours, others)
        )
        yield difference(words, first, second, [*ours, *others])


def agreement(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The share of images, in per cent, on which the gradient of a row agrees with finite
    differences: what the check of that name measures on its images, mean over trials."""
    records = named(runs.get(ITEM, ()), claim.row)
    shares = [
        float(check["value"])
        for kept in records
        for check in kept.record.header["checks"]
        if check["check"] == "finite-difference"
    ]
    if records and len(shares) == len(records):
        images = int(records[0].record.header["probes"]["images"])
        share = wilson(images * sum(shares) / len(shares), images)
        interval = Interval(100 * share.low, 100 * share.high)
        yield replace(over_trials("", shares, records, 100), interval=interval)


def worst_case(runs: Runs, row: str) -> Value | None:
    """Per cent of the images that the worst case of all attacks leaves a row, mean over trials on
    the same images; None where it was not judged."""
    records = named(runs.get(ITEM, ()), row)
    if not records or not same_images(records):
        return None
    share = accuracy(mean_of_trials([robust_share(each.record) for each in records]))
    return Value(WORST, 100 * share.value, records, Interval(100 * share.low, 100 * share.high))


def clean_share(kept: Kept) -> NDArray[np.floating]:
    """The share of fresh predictions of each clean image that are right, (n,)."""
    fresh = kept.record.columns["clean_fresh"]
    share: NDArray[np.floating] = fresh / kept.record.header["evaluations"]
    return share


def under(kept: Kept, level: str) -> NDArray[np.floating] | None:
    """The share of predictions that an attacker of ``level`` leaves right, (n,); None where the
    suite has none that attacked every image."""
    header = kept.record.header
    if level == WORST:
        return robust_share(kept.record)
    names = [e["name"] for e in header["entries"] if e["level"] == level and not e["closing"]]
    return worst(kept.record.columns, names, header["evaluations"]) if names else None
