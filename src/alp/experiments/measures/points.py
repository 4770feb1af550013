"""Measures of the experiments that take one model to many settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from alp.experiments.claims import Claim
from alp.experiments.measures.base import Runs, Value, difference, named, over_trials, same_images
from alp.records import (
    CLEAN,
    KIND_EMBEDDING,
    KIND_POINTS,
    KIND_TRAINING,
    Kept,
    Measured,
    accuracy,
    measured,
    require,
)
from alp.records.statistics import Interval, mean_sd


def accuracy_at(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Accuracy in per cent under attack at an ``eps`` and a ``sigma``, mean over trials."""
    records = _of(runs, claim, KIND_POINTS)
    for level in claim.protocols if same_images(records) else ():
        found = [_at(each, level, **(claim.setting or {})) for each in records]
        shares = [point.correct for points in found for point in points]
        if len(shares) == len(records):
            share = accuracy(np.stack(shares).mean(axis=0))
            over = over_trials(level, [float(each.mean()) for each in shares], records, 100)
            interval = Interval(100 * share.low, 100 * share.high)
            yield Value(level, over.value, records, interval, over.sd)


def optimum(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The sigma of the highest accuracy under attack, mean over trials: of equals the least."""
    records = _of(runs, claim, KIND_POINTS)
    for level in claim.protocols:
        best = [_best(_at(each, level, **(claim.setting or {}))) for each in records]
        sigmas = [sigma for sigma in best if sigma is not None]
        if records and len(sigmas) == len(records):
            yield over_trials(level, sigmas, records)


def psnr_ends(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Mean PSNR in dB of purified clean images at the least (``end`` 0) or most noise (1)."""
    records = _of(runs, claim, KIND_POINTS)
    end = int((claim.setting or {})["end"])
    values, sigma = [], 0.0
    for each in records:
        clean = sorted(_at(each, CLEAN), key=_sigma)
        sigma = _sigma(clean[-end])
        values.append(float(clean[-end].psnr.mean(dtype=np.float64)))
    if values:
        yield over_trials(f"sigma {sigma:g}", values, records)


def sigma_mean(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The learned sigma in latent units, mean over trials."""
    records = _trained(runs, claim)
    if records:
        yield over_trials("", [float(each.record.header["sigma"]) for each in records], records)


def sigma_spread(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The deviation of the learned sigma over trials, in per cent of its mean."""
    records = _trained(runs, claim)
    if len(records) > 1:
        mean, sd = mean_sd([float(each.record.header["sigma"]) for each in records])
        yield Value(f"{len(records)} trials", 100 * sd / mean, records)


def returned(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points by which purification raises the share of an attacked image's nearest clean
    neighbours that have its class."""
    for each in _of(runs, claim, KIND_EMBEDDING):
        columns = each.record.columns
        yield difference(
            str(each.record.header["level"]),
            columns["purified_share"],
            columns["attacked_share"],
            [each],
        )


def _trained(runs: Runs, claim: Claim) -> list[Kept]:
    """The trainings of the purifier, or the evaluations that name the sigma they are of."""
    trained = [each for each in runs.get("sigma", ()) if each.record.kind == KIND_TRAINING]
    return trained or named(runs.get("hierarchy", ()), claim.row)


def _of(runs: Runs, claim: Claim, kind: str) -> list[Kept]:
    """The records of the claim's experiment that are of ``kind``, each whole."""
    found = [each for each in runs.get(claim.items[0], ()) if each.record.kind == kind]
    for each in found:
        require(each.record, kind)
    return found


def _at(
    kept: Kept, level: str, eps: float | None = None, sigma: float | None = None
) -> list[Measured]:
    """The points of a record at these settings; none where it has none."""
    return [
        point
        for point in measured(kept.record)
        if point.level == level
        and (eps is None or abs(point.eps - eps) < 1e-9)
        and (sigma is None or abs(_sigma(point) - sigma) < 1e-9)
    ]


def _best(points: Sequence[Measured]) -> float | None:
    rising = sorted(points, key=_sigma)
    return _sigma(max(rising, key=lambda point: point.accuracy.value)) if rising else None


def _sigma(point: Measured) -> float:
    return 0.0 if point.sigma is None else point.sigma
