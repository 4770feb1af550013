"""Verdict records to accuracies, and to sentences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.evaluation.records.record import KIND_VERDICT, Record
from alp.evaluation.records.selection import worst
from alp.evaluation.statistics import wilson


def conclude(record: Record) -> dict[str, Any]:
    """The accuracies of a verdict record.

    Returns:
        ``name``, ``trial``, ``draws``, ``images``, ``suite``, ``evaluations``, ``sigma``;
        ``clean``; ``levels`` (level to accuracy under its opening entries, which attacked every
        image); ``entries`` (each opening entry alone); ``worst`` (over all entries: the headline),
        ``majority`` (images that most predictions of the worst case have right) and
        ``worst_of_r`` (images that all of them have right); each accuracy a dict of ``value`` and
        the ends ``low`` and ``high`` of its 95 % Wilson interval, in [0,1]. ``psnr`` is None where
        purification changes nothing. ``checks`` are the findings, ``suspicions`` the words of
        those that failed, ``warnings`` the record's.

    Raises:
        RecordError: it is no verdict record.
    """
    header, columns = record.header, record.columns
    _require(record)
    evaluations = header["evaluations"]
    opening = [each for each in header["entries"] if not each["closing"]]

    def accuracy(entries: Iterable[dict[str, Any]]) -> dict[str, float]:
        return _accuracy(worst(columns, (each["name"] for each in entries), evaluations))

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
        "clean": _accuracy(columns["clean_fresh"] / evaluations),
        "levels": {
            level: accuracy(each for each in opening if each["level"] == level)
            for level in dict.fromkeys(each["level"] for each in opening)
        },
        "entries": {each["name"]: accuracy([each]) for each in opening},
        "worst": _accuracy(headline),
        "majority": _accuracy(headline > 0.5),
        "worst_of_r": _accuracy(headline == 1),
        "psnr": psnr if np.isfinite(psnr) else None,
        "sigma": header["sigma"],
        "checks": header["checks"],
        "suspicions": [each["words"] for each in header["checks"] if not each["passed"]],
        "warnings": header["warnings"],
    }


def robust_share(record: Record) -> NDArray[Any]:
    """The headline of each image, (n,): the share of predictions that the worst case leaves
    right. Two records on the same images are compared by it.

    Raises:
        RecordError: it is no verdict record.
    """
    _require(record)
    names = (each["name"] for each in record.header["entries"])
    return worst(record.columns, names, record.header["evaluations"])


def _accuracy(shares: NDArray[Any]) -> dict[str, float]:
    value = float(shares.mean())
    interval = wilson(value * len(shares), len(shares))
    return {"value": value, "low": interval.low, "high": interval.high}


def _require(record: Record) -> None:
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
