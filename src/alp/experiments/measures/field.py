"""Measures of what the works behind the paper found, on its own defences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import Claim
from alp.experiments.measures.base import (
    Runs,
    Value,
    difference,
    mean_of_trials,
    named,
    same_images,
    shared_rows,
)
from alp.experiments.measures.honest import clean_share, under
from alp.records import KIND_VERDICT, Kept, robust_share, worst
from alp.records.certificates import summarise_certificates
from alp.records.points import mean
from alp.records.queries import left_by
from alp.records.statistics import Interval

ITEM = "attacks"

LEADERBOARD = "leaderboard"
"""Verdicts that ``alp evaluate`` made, on defences of other works."""

QUERIES = "queries"
"""Records that the suite of that name made."""

CERTIFICATES = "certificates"
"""Records that ``alp certify`` made."""


def harm(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that an attack alone takes from a row, mean over trials, by the norm of its threat:
    Linf first."""
    for norm, records in _attacked(runs, claim):
        left = [_left_by(each, claim.attack) for each in records]
        clean = mean_of_trials([clean_share(each) for each in records])
        yield difference(norm, clean, mean_of_trials(left), records)


def stronger(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that an attack alone takes from a row above what the attack ``against`` takes, on the
    same images, mean over trials, by the norm of their threat: Linf first."""
    for norm, records in _attacked(runs, claim, claim.against):
        more, less = (
            mean_of_trials([_left_by(each, name) for each in records])
            for name in (claim.attack, claim.against)
        )
        yield difference(norm, less, more, records)


def _attacked(runs: Runs, claim: Claim, *others: str) -> list[tuple[str, list[Kept]]]:
    """The norms, Linf first, and the trials of the row that the attack, and ``others``, met on the
    same images."""
    wanted = {claim.attack, *others}
    of_norm: dict[str, list[Kept]] = {}
    for each in named(runs.get(ITEM, ()), claim.row):
        if each.record.kind == KIND_VERDICT:
            entries = each.record.header["entries"]
            if wanted <= {entry["attack"]["name"] for entry in entries}:
                of_norm.setdefault(_norm(each), []).append(each)
    found = [(norm, records) for norm, records in of_norm.items() if same_images(records)]
    return sorted(found, reverse=True)


def _left_by(kept: Kept, attack: str) -> NDArray[np.floating]:
    """The share of predictions that an attack, which the record has, leaves right, (n,)."""
    header = kept.record.header
    name = next(e["name"] for e in header["entries"] if e["attack"]["name"] == attack)
    return worst(kept.record.columns, [name], header["evaluations"])


def decides(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that an attack alone takes from a row, and points that attackers who see labels alone,
    and start from nothing else, take from the same classifier within so many ``queries``: the best
    of them, by the record of the most images."""
    yield from harm(runs, claim)
    queries = int((claim.setting or {})["queries"])
    able = [
        each
        for each in named(runs.get(QUERIES, ()), claim.against)
        if queries in each.record.header["checkpoints"] and _blind(each.record.header)
    ]
    for kept in _largest(able):
        blind = _blind(kept.record.header)
        left = [left_by(kept.record, each["name"], queries) for each in blind]
        # Chosen by the predictions that do not judge.
        best = int(np.argmin([chosen.mean() for chosen, _ in left]))
        words = f"{_norm(kept)}, {blind[best]['label']}, {queries:,} answers"
        yield difference(words, clean_share(kept), left[best][1], [kept])


def _blind(header: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The attackers of a record of queries that see labels and have no other model."""
    return [e for e in header["attackers"] if e["sees"] == "labels" and not e["surrogate"]]


def _largest(records: Sequence[Kept]) -> list[Kept]:
    """The record of the most images, the first of several; none of none."""
    return sorted(records, key=lambda each: -len(each.record))[:1]


def protects(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that attackers of each level leave a row above the worst case of another, on the most
    images that two records share."""
    records = runs.get(LEADERBOARD, ())
    pairs = [
        (ours, bare, *shared_rows(ours, bare))
        for ours in named(records, claim.row)
        for bare in named(records, claim.against)
    ]
    if pairs:
        ours, bare, mine, theirs = max(pairs, key=lambda pair: len(pair[2]))
        for level in claim.protocols:
            left = under(ours, level)
            if left is not None and len(mine):
                worst_case = robust_share(bare.record)[theirs]
                yield difference(level, left[mine], worst_case, [ours, bare])


def known(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that the worst case of all attackers takes from a row above what those take who do not
    know the defence, on the same images: by the record of the most images."""
    records = named(runs.get(LEADERBOARD, ()), claim.row)
    for kept in _largest(records):
        left = under(kept, "oblivious")
        if left is not None:
            yield difference("", left, robust_share(kept.record), [kept])


def votes(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Mean number of votes that a certificate of an image takes, by the record of the most
    images."""
    records = named(runs.get(CERTIFICATES, ()), claim.row)
    for kept in _largest(records):
        found = mean(kept.record.columns["draws"].astype(np.float64))
        yield Value("", found.value, [kept], Interval(found.low, found.high))


def certified(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Per cent of the images that are certified with their class at the L2 radius of the claim, by
    the record of the most images."""
    records = named(runs.get(CERTIFICATES, ()), claim.row)
    setting = claim.setting or {}
    for kept in _largest(records) if setting else ():
        (row,) = summarise_certificates(kept.record, [setting["radius"]])["certified"]
        interval = Interval(100 * row["low"], 100 * row["high"])
        yield Value("", 100 * row["value"], [kept], interval)


def _norm(kept: Kept) -> str:
    return str(kept.record.header["threat"]["name"])
