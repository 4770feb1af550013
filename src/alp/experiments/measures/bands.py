"""Measures of frequencies: which of them an attack uses, and which the purifier takes away."""

from __future__ import annotations

from collections.abc import Iterator

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
from alp.experiments.measures.points import at, records_of
from alp.records import KIND_POINTS, KIND_SPECTRA, Kept, Measured, measured
from alp.records.record import BINS


def harm(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that an attack takes on high frequencies above what it takes on low ones, and on all
    frequencies above what it takes on low ones, each on the same images; and points of its power
    that lie at high frequencies, above the share of them that even power would have."""
    for other, words in (("high", "high band over low"), ("all", "all over low band")):
        for level, low, more, records in _of_bands(runs, claim, other):
            yield difference(f"{level}, {words}", low.correct, more.correct, records)
    for each in records_of(runs, claim.items[0], KIND_SPECTRA):
        shares = _share(each, "attack", claim)
        even = np.full(len(shares), _even(claim))
        yield difference_of_means(f"{_level(each)}, power over even", shares, even, [each])


def removed(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that the share of an attack's length behind the purifier is lower for one on high
    frequencies than for one on low ones; and points of an attack's power by which the share at
    high frequencies falls behind the purifier."""
    for level, low, high, records in _of_bands(runs, claim, "high"):
        yield difference_of_means(level, low.passed, high.passed, records)
    for each in records_of(runs, claim.items[0], KIND_SPECTRA):
        before, behind = (_share(each, name, claim) for name in ("attack", "behind"))
        yield difference_of_means(f"{_level(each)}, share of the power", before, behind, [each])


def _of_bands(
    runs: Runs, claim: Claim, other: str
) -> Iterator[tuple[str, Measured, Measured, list[Kept]]]:
    """Each level with its points in the low band and in another."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    of_band = {each.record.header["extra"]["band"]: each for each in records}
    both = [of_band[name] for name in ("low", other) if name in of_band]
    if len(both) == 2 and same_images(both):
        for level in claim.protocols:
            for low, more in zip(*(at(measured(each.record), level) for each in both), strict=True):
                yield level, low, more, both


def _level(kept: Kept) -> str:
    return str(kept.record.header["level"])


def _share(kept: Kept, name: str, claim: Claim) -> NDArray[np.floating]:
    """Of each image, (n,): the share of the power of ``name`` that lies at high frequencies."""
    columns = [kept.record.columns[f"{name}_{number}"] for number in range(BINS)]
    power = np.stack(columns).astype(np.float64)
    # Bins are equal steps up to 0.5 cycles a pixel; the last one has all beyond.
    first = round(2 * BINS * (claim.setting or {})["frequency"])
    share: NDArray[np.floating] = power[first:].sum(0) / power.sum(0)
    return share


def _even(claim: Claim) -> float:
    """The share of a picture's frequencies that are high ones."""
    setting = claim.setting or {}
    along = np.fft.fftfreq(int(setting["size"]))
    return float((np.hypot(along[:, None], along) >= setting["frequency"]).mean())
