"""Verdict records to accuracies, and to sentences.

The attacker's choice among the candidates of an image, and what it is worth.

Records to the numbers of a table, from the records alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.records.calibration import Calibration, calibration
from alp.records.queries import conclude_queries
from alp.records.record import KIND_QUERIES, KIND_ROBUSTNESS, KIND_VERDICT, Columns, Record
from alp.records.statistics import accuracy_with_interval, few_images, mean_sd


def worst(columns: Columns, entries: Iterable[str], evaluations: int) -> NDArray[Any]:
    """The share of predictions, (n,), that an attacker who may choose among ``entries`` leaves
    right.

    Candidates of an image are its clean self and the attacked image of every entry that attacked
    it. The one that the selecting predictions have right least often is taken, the last of several,
    since suites go from weak to strong; it is judged by its other, fresh predictions: the minimum
    of noisy scores flatters the attacker, a score on new draws does not. An attacked image that is
    right as often as the clean one is no candidate.
    """
    return _chosen(columns, entries, "fresh") / evaluations


def _chosen(columns: Columns, entries: Iterable[str], part: str) -> NDArray[Any]:
    """``fresh`` or ``confidence``, (n,), of the candidate that :func:`worst` takes."""
    lowest = clean = columns["clean_select"].astype(np.int64)
    judged = columns[f"clean_{part}"]
    for name in entries:
        select = columns[f"{name}_select"]
        better = columns[f"{name}_attacked"] & (select < clean) & (select <= lowest)
        lowest = np.where(better, select, lowest)
        judged = np.where(better, columns[f"{name}_{part}"], judged)
    return judged


def conclude(record: Record) -> dict[str, Any]:
    """The accuracies of a verdict record; of one of queries those of
    :func:`alp.records.queries.conclude_queries`.

    Returns:
        ``name``, ``trial``, ``draws``, ``images``, ``suite``, ``evaluations``, ``sigma``;
        ``clean``; ``levels`` (level to accuracy under its opening entries, which attacked every
        image); ``entries`` (each opening entry alone); ``worst`` (over all entries: the headline),
        ``majority`` (images that most predictions of the worst case have right) and
        ``worst_of_r`` (images that all of them have right); each accuracy a dict of ``value`` and
        the ends ``low`` and ``high`` of its 95 % Wilson interval, in [0,1], or, where one draw
        serves a whole batch, of an interval made of the batches. ``psnr`` is None where
        purification changes nothing. ``calibration`` has the errors of :func:`calibrations`, None
        where the record has no confidences. ``checks`` are the findings, ``suspicions`` the words
        of those that failed, ``warnings`` the record's.

    Raises:
        RecordError: it is neither.
    """
    if not isinstance(record, Record):
        raise RecordError(
            f"a {type(record).__name__} is no record; give what alp.evaluate returned, or what "
            "alp.records.read read"
        )
    if record.kind == KIND_QUERIES:
        return conclude_queries(record)
    header, columns = record.header, record.columns
    _require_verdict(record)
    evaluations = header["evaluations"]
    opening = [each for each in header["entries"] if not each["closing"]]
    batches = None
    if header.get("shared_draws"):
        batches = np.arange(len(record)) // header["batch_size"]

    def accuracy(entries: Iterable[dict[str, Any]]) -> dict[str, float]:
        shares = worst(columns, (each["name"] for each in entries), evaluations)
        return whole(shares)

    def whole(shares: NDArray[Any]) -> dict[str, float]:
        return accuracy_with_interval(shares.mean(), len(shares), shares, batches)

    headline = worst(columns, (each["name"] for each in header["entries"]), evaluations)
    psnr = float(columns["psnr"].mean(dtype=np.float64))
    return {
        "name": header["name"],
        "trial": header["trial"],
        "draws": header["draws"],
        "images": len(record),
        "suite": header["suite"],
        "attack_precision": header.get("attack_precision", "float32"),
        "evaluations": evaluations,
        "clean": whole(columns["clean_fresh"] / evaluations),
        "levels": {
            level: accuracy(each for each in opening if each["level"] == level)
            for level in dict.fromkeys(each["level"] for each in opening)
        },
        "entries": {each["name"]: accuracy([each]) for each in opening},
        "worst": whole(headline),
        "majority": whole(headline > 0.5),
        "worst_of_r": whole(headline == 1),
        "psnr": psnr if np.isfinite(psnr) else None,
        "calibration": {
            point: {"ece": each.ece, "perfect": each.perfect, "images": each.images}
            for point, each in calibrations(record).items()
        }
        if CONFIDENCE in columns
        else None,
        "sigma": header["sigma"],
        "checks": header["checks"],
        "suspicions": [each["words"] for each in header["checks"] if not each["passed"]],
        "warnings": [*header["warnings"], *few_images(len(record))],
    }


def robust_share(record: Record) -> NDArray[Any]:
    """The headline of each image, (n,): the share of predictions that the worst case leaves
    right. Two records on the same images are compared by it.

    Raises:
        RecordError: it is no verdict record.
    """
    _require_verdict(record)
    names = (each["name"] for each in record.header["entries"])
    return worst(record.columns, names, record.header["evaluations"])


CONFIDENCE = "clean_confidence"
"""A column of verdict records; those of earlier versions lack it."""


def calibrations(record: Record) -> dict[str, Calibration]:
    """``clean`` and ``worst`` to how well the deployed confidences fit the accuracies there; one
    without a single confidence is left out.

    Raises:
        RecordError: it is no verdict record, or one without confidences.
    """
    _require_verdict(record)
    if CONFIDENCE not in record.columns:
        raise RecordError(
            f"the record {record.name!r} has no confidences, as those of earlier versions; "
            "evaluate again to make them"
        )
    columns, rounds = record.columns, record.header["evaluations"]
    names = [each["name"] for each in record.header["entries"]]
    found = {
        "clean": (columns[CONFIDENCE], columns["clean_fresh"] / rounds),
        "worst": (_chosen(columns, names, "confidence"), worst(columns, names, rounds)),
    }
    return {
        point: calibration(sure, right)
        for point, (sure, right) in found.items()
        if not np.isnan(sure).all()
    }


def _require_verdict(record: Record) -> None:
    if record.kind != KIND_VERDICT:
        raise RecordError(
            f"the record {record.name!r} is of the kind {record.kind!r}; "
            f"give one of the kind {KIND_VERDICT!r}"
        )
    fields = ("trial", "draws", "suite", "evaluations", "entries", "checks", "sigma", "warnings")
    missing = [name for name in fields if name not in record.header]
    needed = ["clean_select", "clean_fresh", "psnr"]
    for entry in record.header.get("entries", ()):
        needed += [f"{entry['name']}_{part}" for part in ("attacked", "select", "fresh")]
    missing += [name for name in needed if name not in record.columns]
    if missing:
        raise RecordError(
            f"the record {record.name!r} lacks {', '.join(missing)}; evaluate again to make it"
        )


_SAME = ("name", "draws", "images", "data", "data_digest", "threat", "attack", "knowledge")


def summarise(record: Record) -> dict[str, Any]:
    """The accuracies of one robustness record with their 95 % Wilson intervals, and the rest.

    Returns:
        ``name``, ``trial``, ``draws``, ``images``; ``clean``, ``robust`` (level to accuracy) and
        ``worst``, each accuracy a dict of ``value``, ``low`` and ``high`` in [0,1]; ``psnr`` (mean
        dB over images, None where purification changes nothing), ``ssim`` (mean), ``sigma`` and
        ``latency_ms`` (median of a prediction; None where unknown), ``zero_gradient`` (level to
        the share of images whose gradient the attacker sees as zero), ``warnings``.

        ``worst`` counts an image only if it is correct clean and under every level: the attacker
        picks the level an image, or leaves it alone. Every point was judged on its own draws, so
        for a randomised model this is on the attacker's side of the truth.

    Raises:
        RecordError: it is no robustness record.
    """
    _require_robustness(record)
    header, columns = record.header, record.columns
    levels = list(header["knowledge"])
    correct = {level: columns[f"{level}_correct"] for level in levels}
    clean = columns["clean_correct"]
    worst = np.logical_and.reduce([clean, *correct.values()])
    psnr = float(columns["psnr"].mean(dtype=np.float64))
    latency = header["latency"].get("predict")
    return {
        "name": header["name"],
        "trial": header["trial"],
        "draws": header["draws"],
        "images": len(record),
        "clean": accuracy_with_interval(clean.mean(), len(record)),
        "robust": {
            level: accuracy_with_interval(correct[level].mean(), len(record)) for level in levels
        },
        "worst": accuracy_with_interval(worst.mean(), len(record)),
        "psnr": psnr if math.isfinite(psnr) else None,
        "ssim": float(columns["ssim"].mean(dtype=np.float64)),
        "sigma": header["sigma"],
        "latency_ms": latency["median_ms"] if latency else None,
        "zero_gradient": {
            level: float(columns[f"{level}_zero_gradient"].mean()) for level in levels
        },
        "warnings": header["warnings"],
    }


def aggregate(records: Sequence[Record]) -> dict[str, Any]:
    """Mean and sample SD over the trials of one name: one row of a table.

    Returns:
        ``name``, ``draws``, ``images``, ``trials``; ``clean``, ``robust`` and ``worst`` as in
        :func:`summarise` with ``sd`` added; ``psnr``, ``ssim``, ``sigma`` and ``latency_ms``, each
        None or a dict of ``value`` and ``sd``; ``warnings`` of all trials, each once. ``sd`` is
        None for a single trial. The trials share their images, so ``low`` and ``high`` are the
        Wilson interval of the mean accuracy on that number of images, not on a multiple of it.

    Raises:
        RecordError: there is no record, one is no robustness record, or two differ in name,
            draws, images, threat, attack or knowledge.
    """
    if not records:
        raise RecordError("no records to aggregate; give at least one")
    summaries = [summarise(record) for record in records]
    for record in records[1:]:
        for key in _SAME:
            if record.header[key] != records[0].header[key]:
                raise RecordError(
                    f"trials of {record.name!r} differ in {key}: {records[0].header[key]!r} and "
                    f"{record.header[key]!r}; aggregate only trials of one protocol"
                )
    first = summaries[0]
    images = first["images"]

    def accuracy(values: list[dict[str, float]]) -> dict[str, float | None]:
        mean, sd = _mean_sd([value["value"] for value in values])
        return {**accuracy_with_interval(mean, images), "sd": sd}

    def number(key: str) -> dict[str, float | None] | None:
        values = [summary[key] for summary in summaries]
        if None in values:
            return None
        mean, sd = _mean_sd(values)
        return {"value": mean, "sd": sd}

    return {
        "name": first["name"],
        "draws": first["draws"],
        "images": images,
        "trials": len(records),
        "clean": accuracy([summary["clean"] for summary in summaries]),
        "robust": {
            level: accuracy([summary["robust"][level] for summary in summaries])
            for level in first["robust"]
        },
        "worst": accuracy([summary["worst"] for summary in summaries]),
        **{key: number(key) for key in ("psnr", "ssim", "sigma", "latency_ms")},
        "warnings": list(dict.fromkeys(text for each in summaries for text in each["warnings"])),
    }


def _mean_sd(values: list[float]) -> tuple[float, float | None]:
    mean, sd = mean_sd(values)
    return mean, None if math.isnan(sd) else sd


def _require_robustness(record: Record) -> None:
    if record.kind != KIND_ROBUSTNESS:
        raise RecordError(
            f"the record {record.name!r} is of the kind {record.kind!r}; "
            f"give one of the kind {KIND_ROBUSTNESS!r}"
        )
    fields = (*_SAME, "trial", "sigma", "latency", "warnings")
    missing = [name for name in fields if name not in record.header]
    columns = ["clean_correct", "psnr", "ssim"]
    for level in record.header.get("knowledge", ()):
        columns += [f"{level}_correct", f"{level}_zero_gradient"]
    missing += [name for name in columns if name not in record.columns]
    if missing:
        raise RecordError(
            f"the record {record.name!r} lacks {', '.join(missing)}; evaluate again to make it"
        )
