"""Records to the numbers of a table, from the records alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from alp.errors import RecordError
from alp.evaluation.records.record import KIND_ROBUSTNESS, Record
from alp.evaluation.statistics import mean_sd, wilson

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
    _require(record)
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
        "clean": _accuracy(clean.mean(), len(record)),
        "robust": {level: _accuracy(correct[level].mean(), len(record)) for level in levels},
        "worst": _accuracy(worst.mean(), len(record)),
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
        return {**_accuracy(mean, images), "sd": sd}

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


def _accuracy(share: float, images: int) -> dict[str, float]:
    interval = wilson(float(share) * images, images)
    return {"value": float(share), "low": interval.low, "high": interval.high}


def _mean_sd(values: list[float]) -> tuple[float, float | None]:
    mean, sd = mean_sd(values)
    return mean, None if math.isnan(sd) else sd


def _require(record: Record) -> None:
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
