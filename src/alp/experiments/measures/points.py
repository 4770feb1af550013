"""Measures of experiments that take one model to many settings, or latents of several widths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import LEVEL, Claim
from alp.experiments.measures.base import (
    Runs,
    Value,
    deviation,
    difference,
    difference_of_means,
    mean_of_trials,
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
    for level, words, trials, records in _of_levels(runs, claim):
        found = [at(each, level, **(claim.setting or {})) for each in trials]
        shares = [point.correct for points in found for point in points]
        if len(shares) == len(trials):
            share = accuracy(mean_of_trials(shares))
            over = over_trials(words, [float(each.mean()) for each in shares], records, 100)
            interval = Interval(100 * share.low, 100 * share.high)
            yield Value(words, over.value, records, interval, over.sd)


def noise_gain(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that accuracy under attack at an ``eps`` is higher at a ``sigma`` than without noise,
    on the same images."""
    setting = claim.setting or {}
    for level, words, trials, records in _of_levels(runs, claim):
        shares = []
        for sigma in (setting["sigma"], 0.0):
            found = [at(each, level, setting["eps"], sigma) for each in trials]
            shares.append([point.correct for points in found for point in points])
        if all(len(each) == len(trials) for each in shares):
            noisy, plain = (mean_of_trials(each) for each in shares)
            yield difference(words, noisy, plain, records)


def gain(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that a row is above another on the same images, mean over trials: at the same level,
    or, where the other has no purifier and so no such level, under its one attack."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    rows, others = (named(records, name) for name in (claim.row, claim.against))
    alone = share_of_trials(others, LEVEL)
    for level in claim.protocols if same_images([*rows, *others]) else ():
        share, other = (share_of_trials(each, level) for each in (rows, others))
        other = alone if other is None else other
        if share is not None and other is not None:
            yield difference(level, share, other, [*rows, *others])


def consensus(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that the prediction of ``draws`` draws is above that of ``fewer``, on the same
    images, mean over trials."""
    records = records_of(runs, claim.items[0], KIND_POINTS)
    setting = claim.setting or {}
    many, few = (
        [each for each in records if each.record.header["draws"] == setting[name]]
        for name in ("draws", "fewer")
    )
    for level in claim.protocols if same_images([*many, *few]) else ():
        more, less = (share_of_trials(each, level) for each in (many, few))
        if more is not None and less is not None:
            yield difference(level, more, less, [*many, *few])


def share_of_trials(
    records: Sequence[Kept], level: str, what: Literal["correct", "passed"] = "correct"
) -> NDArray[np.floating] | None:
    """The mean over trials on the same images of ``what`` at their one point of a level, an image
    each, (n,). None where there is no trial, or one has not this one point."""
    found = [point for each in records for point in at(measured(each.record), level)]
    if not records or len(found) != len(records):
        return None
    return mean_of_trials([getattr(point, what) for point in found])


def optimum(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that accuracy under attack at ``eps`` is higher at the noise level ``sigma`` than at
    the best other one that all trials share, mean over trials. Which one is the best is decided on
    every other image and measured on the rest, and the other way round: on its own images it
    would be too good."""
    setting = claim.setting or {}
    for level, words, trials, records in _of_levels(runs, claim):
        of_sigma: dict[float, list[NDArray[np.bool_]]] = {}
        for point in (p for each in trials for p in at(each, level, setting["eps"])):
            of_sigma.setdefault(_sigma(point), []).append(point.correct)
        shares: dict[float, NDArray[np.floating]] = {
            sigma: mean_of_trials(found)
            for sigma, found in sorted(of_sigma.items())
            if len(found) == len(trials)
        }
        ours = shares.pop(setting["sigma"], None)
        if ours is not None and shares:
            sigmas, others = list(shares), np.stack(list(shares.values()))
            halves = (slice(0, None, 2), slice(1, None, 2))
            best, chosen = np.empty_like(ours), []
            for half, rest in (halves, halves[::-1]):
                place = int(np.argmax(others[:, rest].mean(axis=1)))
                best[half] = others[place, half]
                chosen.append(f"{sigmas[place]:g}")
            rivals = " and ".join(dict.fromkeys(sorted(chosen)))
            yield difference(f"{words}, against sigma {rivals}", ours, best, records)


def sigma_mean(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The learned sigma in latent units, mean over trials, and that of other latents."""
    for words, records in (("", _trained(runs, claim)), *_variants(runs, claim)):
        if records:
            sigmas = [float(each.record.header["sigma"]) for each in records]
            yield over_trials(words, sigmas, records)


def robust(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Accuracy in per cent under attack of a row with another latent, mean over trials."""
    for item, records in _variants(runs, claim):
        for level in claim.protocols if same_images(records) else ():
            right = share_of_trials(records, level)
            if right is not None:
                share = accuracy(right)
                interval = Interval(100 * share.low, 100 * share.high)
                yield Value(f"{level}, {item}", 100 * share.value, records, interval)


def _variants(runs: Runs, claim: Claim) -> Iterator[tuple[str, list[Kept]]]:
    """Every further experiment of a claim, and its points."""
    for item in claim.items[1:]:
        yield item, records_of(runs, item, KIND_POINTS)


def sigma_spread(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The deviation of the learned sigma, in per cent of its mean: over trials, and over the starts
    of sigma of each further experiment."""
    trials = _trained(runs, claim)
    of_starts = [records_of(runs, item, KIND_TRAINING) for item in claim.items[1:]]
    pairs = [(f"{len(trials)} trials", trials), *((_starts(each), each) for each in of_starts)]
    for words, records in pairs:
        if len(records) > 1:
            sigmas = [float(each.record.header["sigma"]) for each in records]
            yield deviation(words, sigmas, records, 100 / mean_sd(sigmas)[0])


def _starts(records: Sequence[Kept]) -> str:
    starts = sorted(float(each.record.header["start"]) for each in records)
    return f"starts {', '.join(f'{start:g}' for start in starts)}"


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
        records = records_of(runs, item, KIND_EMBEDDING)
        for level in dict.fromkeys(str(each.record.header["level"]) for each in records):
            trials = [each for each in records if each.record.header["level"] == level]
            if same_images(trials):
                after, before = (
                    mean_of_trials([each.record.columns[f"{name}_share"] for each in trials])
                    for name in (one, other)
                )
                yield difference(words_of(claim, item, level), after, before, trials)


def _of_levels(
    runs: Runs, claim: Claim
) -> Iterator[tuple[str, str, list[list[Measured]], list[Kept]]]:
    """Each level of each curve, the two in words, the points of its trials, and its records."""
    for item in claim.items:
        for words, records in curves(runs, claim, item):
            for level in claim.protocols if same_images(records) else ():
                yield level, words_of(claim, words, level), trials_of(records), records


def curves(runs: Runs, claim: Claim, item: str) -> Iterator[tuple[str, list[Kept]]]:
    """The records of each curve of an experiment, and the curve in words: the experiment, and the
    record's name where the experiment has several."""
    records = records_of(runs, item, KIND_POINTS)
    names = list(dict.fromkeys(each.record.name for each in records))
    for name in names:
        words = item if len(names) == 1 else f"{name}, {item}"
        yield words, named(records, name)


def trials_of(records: Sequence[Kept]) -> list[list[Measured]]:
    """The points of each trial: those of its record, or of all of its records where a model was
    trained for each noise level."""
    found: dict[int, list[Measured]] = {}
    for each in records:
        found.setdefault(int(each.record.header["trial"]), []).extend(measured(each.record))
    return list(found.values())


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
    points: Iterable[Measured], level: str, eps: float | None = None, sigma: float | None = None
) -> list[Measured]:
    """The points at these settings; none where there is none."""
    return [
        point
        for point in points
        if point.level == level
        and (eps is None or abs(point.eps - eps) < 1e-9)
        and (sigma is None or abs(_sigma(point) - sigma) < 1e-9)
    ]


def _sigma(point: Measured) -> float:
    return 0.0 if point.sigma is None else point.sigma


def passed(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points by which the ``wide`` latent lets more of an attack through than the ``narrow`` one,
    as shares of its length, where their trainings held the same equal."""
    setting = claim.setting or {}
    for item in claim.items:
        records = records_of(runs, item, KIND_POINTS)
        for goal in dict.fromkeys(_objective(each) for each in records):
            mine = [each for each in records if _objective(each) == goal]
            wide, narrow = (
                [each for each in mine if _channels(each) == setting[name]]
                for name in ("wide", "narrow")
            )
            if wide and narrow and same_images([*wide, *narrow]):
                for level in claim.protocols:
                    words = ", ".join(each for each in (level, goal) if each)
                    yield from _apart(words_of(claim, item, words), level, narrow, wide)


def _objective(kept: Kept) -> str:
    return str(kept.record.header["extra"].get("objective", ""))


def _apart(words: str, level: str, narrow: Sequence[Kept], wide: Sequence[Kept]) -> Iterator[Value]:
    more, less = (share_of_trials(each, level, "passed") for each in (wide, narrow))
    if more is not None and less is not None:
        yield difference_of_means(words, more, less, [*wide, *narrow])


def _channels(kept: Kept) -> int:
    return int(kept.record.header["extra"]["latent_channels"])
