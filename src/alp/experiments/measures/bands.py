"""Measures of frequencies: which of them an attack uses, and which the purifier takes away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import Claim
from alp.experiments.measures.base import (
    Runs,
    Value,
    difference,
    difference_of_means,
    same_images,
)
from alp.experiments.measures.points import records_of, share_of_trials
from alp.records import KIND_POINTS, KIND_SPECTRA, Kept
from alp.records.record import BINS


def harm(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that an attack takes on high frequencies above what it takes on low ones, and on all
    frequencies above what it takes on low ones, each on the same images; and points of its power
    that lie at high frequencies, above the share of them that even power would have."""
    for other, words in (("high", "high band over low"), ("all", "all over low band")):
        for level, low, more, records in _of_bands(runs, claim, other, "correct"):
            yield difference(f"{level}, {words}", low, more, records)
    for level, trials in _spectra(runs, claim):
        shares = _share(trials, "attack", claim)
        even = np.full(len(shares), _even(claim))
        yield difference_of_means(f"{level}, power over even", shares, even, trials)


def removed(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that the share of an attack's length behind the purifier is lower for one on high
    frequencies than for one on low ones; and points of an attack's power by which the share at
    high frequencies falls behind the purifier."""
    for level, low, high, records in _of_bands(runs, claim, "high", "passed"):
        yield difference_of_means(level, low, high, records)
    for level, trials in _spectra(runs, claim):
        before, behind = (_share(trials, name, claim) for name in ("attack", "behind"))
        yield difference_of_means(f"{level}, share of the power", before, behind, trials)


def _of_bands(
    runs: Runs, claim: Claim, other: str, what: Literal["correct", "passed"]
) -> Iterator[tuple[str, NDArray[np.floating], NDArray[np.floating], list[Kept]]]:
    """Each level with the mean over trials of ``what`` in the low band and in another, (n,)."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    low, more = (
        [each for each in records if each.record.header["extra"]["band"] == name]
        for name in ("low", other)
    )
    for level in claim.protocols if same_images([*low, *more]) else ():
        shares = [share_of_trials(each, level, what) for each in (low, more)]
        if shares[0] is not None and shares[1] is not None:
            yield level, shares[0], shares[1], [*low, *more]


def _spectra(runs: Runs, claim: Claim) -> Iterator[tuple[str, list[Kept]]]:
    """Each level with the spectra of its trials."""
    records = records_of(runs, claim.items[0], KIND_SPECTRA)
    for level in dict.fromkeys(str(each.record.header["level"]) for each in records):
        trials = [each for each in records if each.record.header["level"] == level]
        if same_images(trials):
            yield level, trials


def _share(trials: Sequence[Kept], name: str, claim: Claim) -> NDArray[np.floating]:
    """Of each image, (n,): the share of the power of ``name`` that lies at high frequencies, mean
    over trials."""
    columns = [
        [each.record.columns[f"{name}_{number}"] for number in range(BINS)] for each in trials
    ]
    power = np.asarray(columns, np.float64)
    # Bins are equal steps up to 0.5 cycles a pixel; the last one has all beyond.
    first = round(2 * BINS * (claim.setting or {})["frequency"])
    share: NDArray[np.floating] = (power[:, first:].sum(1) / power.sum(1)).mean(0)
    return share


def _even(claim: Claim) -> float:
    """The share of a picture's frequencies that are high ones."""
    setting = claim.setting or {}
    along = np.fft.fftfreq(int(setting["size"]))
    return float((np.hypot(along[:, None], along) >= setting["frequency"]).mean())
