"""Measures of experiments that take one model to many settings, or latents of several widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from alp.experiments.claims import LEVEL, Claim
from alp.experiments.measures.base import (
    Runs,
    Value,
    difference,
    difference_of_means,
    named,
    over_trials,
    same_images,
)
from alp.records import (
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
    for level, words, records in _of_levels(runs, claim):
        found = [at(each, level, **(claim.setting or {})) for each in records]
        shares = [point.correct for points in found for point in points]
        if len(shares) == len(records):
            share = accuracy(np.stack(shares).mean(axis=0))
            over = over_trials(words, [float(each.mean()) for each in shares], records, 100)
            interval = Interval(100 * share.low, 100 * share.high)
            yield Value(words, over.value, records, interval, over.sd)


def noise_gain(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that accuracy under attack at an ``eps`` is higher at a ``sigma`` than without noise,
    on the same images."""
    setting = claim.setting or {}
    for level, words, records in _of_levels(runs, claim):
        shares = []
        for sigma in (setting["sigma"], 0.0):
            found = [at(each, level, setting["eps"], sigma) for each in records]
            shares.append([point.correct for points in found for point in points])
        if all(len(each) == len(records) for each in shares):
            noisy, plain = (np.stack(each).mean(axis=0) for each in shares)
            yield difference(words, noisy, plain, records)


def gain(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that a row is above another, which has no purifier, on the same images."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    rows, others = (named(records, name) for name in (claim.row, claim.against))
    for row, other in zip(rows, others, strict=False) if same_images(records) else ():
        (alone,) = at(other, LEVEL)
        for level in claim.protocols:
            for point in at(row, level):
                yield difference(level, point.correct, alone.correct, [row, other])


def consensus(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that the prediction of ``draws`` draws is above that of ``fewer``, on the same
    images."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    of_draws = {int(each.record.header["draws"]): each for each in records}
    setting = claim.setting or {}
    many, few = (of_draws.get(int(setting[name])) for name in ("draws", "fewer"))
    if many and few and same_images([many, few]):
        for level in claim.protocols:
            for more, less in zip(at(many, level), at(few, level), strict=True):
                yield difference(level, more.correct, less.correct, [many, few])


def harm(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that an attack on high frequencies takes more than one on low ones, on the same
    images."""
    for level, low, high, records in _of_bands(runs, claim):
        yield difference(level, low.correct, high.correct, records)


def removed(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that the share of an attack's length behind the purifier is lower for one on high
    frequencies than for one on low ones."""
    for level, low, high, records in _of_bands(runs, claim):
        yield difference_of_means(level, low.passed, high.passed, records)


def _of_bands(runs: Runs, claim: Claim) -> Iterator[tuple[str, Measured, Measured, list[Kept]]]:
    """Each level with its points in the low and in the high band."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    of_band = {each.record.header["extra"]["band"]: each for each in records}
    both = [of_band[name] for name in ("low", "high") if name in of_band]
    if len(both) == 2 and same_images(both):
        for level in claim.protocols:
            for low, high in zip(*(at(each, level) for each in both), strict=True):
                yield level, low, high, both


def optimum(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The sigma of the highest accuracy under attack, mean over trials: of equals the least."""
    for level, words, records in _of_levels(runs, claim):
        best = [_best(at(each, level, **(claim.setting or {}))) for each in records]
        sigmas = [sigma for sigma in best if sigma is not None]
        if len(sigmas) == len(records):
            yield over_trials(words, sigmas, records)


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
    yield from _nearer(runs, claim, "purified", "attacked")


def displaced(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points by which an attack lowers the share of an image's nearest clean neighbours that have
    its class."""
    yield from _nearer(runs, claim, "clean", "attacked")


def _nearer(runs: Runs, claim: Claim, one: str, other: str) -> Iterator[Value]:
    for item in claim.items:
        for each in records_of(runs, item, KIND_EMBEDDING):
            columns = each.record.columns
            words = words_of(claim, item, str(each.record.header["level"]))
            yield difference(words, columns[f"{one}_share"], columns[f"{other}_share"], [each])


def _of_levels(runs: Runs, claim: Claim) -> Iterator[tuple[str, str, list[Kept]]]:
    """Each level of each experiment of the claim, the two in words, and the records, which are of
    the same images."""
    for item in claim.items:
        records = records_of(runs, item, KIND_POINTS)
        for level in claim.protocols if same_images(records) else ():
            yield level, words_of(claim, item, level), records


def words_of(claim: Claim, item: str, level: str = "") -> str:
    """Level and experiment in words: the claim's first experiment goes without saying."""
    return ", ".join(each for each in (level, item) if each and each != claim.items[0])


def _trained(runs: Runs, claim: Claim) -> list[Kept]:
    """The trainings of the purifier, or the evaluations that name the sigma they are of."""
    trained = [each for each in runs.get("sigma", ()) if each.record.kind == KIND_TRAINING]
    return trained or named(runs.get("hierarchy", ()), claim.row)


def records_of(runs: Runs, item: str, kind: str) -> list[Kept]:
    """The records of an experiment that are of ``kind``, each whole."""
    found = [each for each in runs.get(item, ()) if each.record.kind == kind]
    for each in found:
        require(each.record, kind)
    return found


def at(
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


def passed(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points by which the ``wide`` latent lets more of an attack through than the ``narrow`` one,
    as shares of its length."""
    records = [each for each in runs.get(claim.items[0], ()) if each.record.kind == KIND_POINTS]
    of_width = {_channels(each): each for each in records}
    setting = claim.setting or {}
    wide, narrow = (of_width.get(int(setting[name])) for name in ("wide", "narrow"))
    if wide and narrow and same_images([wide, narrow]):
        for level in claim.protocols:
            yield from _apart(level, narrow, wide)


def _apart(level: str, narrow: Kept, wide: Kept) -> Iterator[Value]:
    ends: Sequence[Kept] = (wide, narrow)
    shares = [
        point.passed for each in ends for point in measured(each.record) if point.level == level
    ]
    if len(shares) == len(ends):
        words = f"{level}, {_channels(wide)} over {_channels(narrow)} channels"
        yield difference_of_means(words, shares[0], shares[1], ends)


def _channels(kept: Kept) -> int:
    return int(kept.record.header["extra"]["latent_channels"])
