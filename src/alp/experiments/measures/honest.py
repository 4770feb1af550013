"""Measures by the adaptive evaluation: what masking and the purifier are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import Claim
from alp.experiments.measures.base import Runs, Value, difference, named, same_images
from alp.records import KIND_VERDICT, Kept, robust_share, worst

ITEM = "honest"
COMPACT = "compact"
WORST = "worst case"


def cost(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points of clean accuracy that an attacker of each level takes from a row."""
    records = named(runs.get(ITEM, ()), claim.row)
    if records and same_images(records):
        clean = _mean([_clean(each) for each in records])
        for level in claim.protocols:
            shares = [under(each, level) for each in records]
            found = [share for share in shares if share is not None]
            if len(found) == len(records):
                yield difference(level, clean, _mean(found), records)


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
            _mean([robust_share(each.record) for each in group]) for group in (ours, others)
        )
        yield difference(words, first, second, [*ours, *others])


def agreement(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The share of images, in per cent, on which the gradient of a row agrees with finite
    differences: what the check of that name measures."""
    for kept in named(runs.get(ITEM, ()), claim.row):
        for check in kept.record.header["checks"]:
            if check["check"] == "finite-difference":
                yield Value("", 100 * float(check["value"]), [kept])


def _clean(kept: Kept) -> NDArray[np.floating]:
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


def _mean(shares: Sequence[NDArray[np.floating]]) -> NDArray[np.floating]:
    mean: NDArray[np.floating] = np.mean(shares, axis=0, dtype=np.float64)
    return mean
