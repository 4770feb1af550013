"""Certificates as data: what a record of votes proves. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.records.record import Record
from alp.records.statistics import few_images, paired_difference, wilson

KIND_CERTIFICATE = "certificate"
"""What :func:`alp.certify` makes, one row an image: ``index``, ``label``, ``selected`` (the class),
``draws`` (votes), ``votes_<class>``, ``radius`` (certified, L2 on images in [0,1]; NaN for none),
``refuted`` (smallest radius with evidence against it; infinite for none) and ``stopped`` (settled,
or budget)."""

HEADER = ("sigma", "radii", "alpha", "budget", "method", "precision", "seed", "data", "images")
COLUMNS = ("index", "label", "selected", "draws", "radius", "refuted", "stopped")


def require_certificate(record: Record) -> None:
    """Check a record before it is used.

    Raises:
        RecordError: it is of another kind, or incomplete.
    """
    if record.kind != KIND_CERTIFICATE:
        raise RecordError(
            f"the record {record.name!r} is of the kind {record.kind!r}; give one of the kind "
            f"{KIND_CERTIFICATE!r}"
        )
    missing = [key for key in HEADER if key not in record.header]
    missing += [name for name in COLUMNS if name not in record.columns]
    if missing:
        raise RecordError(
            f"the record {record.name!r} lacks {', '.join(missing)}; certify the model again"
        )


def certified_at(record: Record, radius: float) -> NDArray[np.bool_]:
    """Which images are certified at ``radius`` with their own class, bool (N,)."""
    columns = record.columns
    right: NDArray[np.bool_] = columns["selected"] == columns["label"]
    proved: NDArray[np.bool_] = np.nan_to_num(columns["radius"], nan=-1.0) >= radius
    return right & proved


def votes_for(record: Record) -> NDArray[np.int64]:
    """Votes for the selected class, int64 (N,)."""
    names = sorted(
        (name for name in record.columns if name.startswith("votes_")),
        key=lambda name: int(name.removeprefix("votes_")),
    )
    table = np.stack([record.columns[name] for name in names])
    chosen: NDArray[np.int64] = table[record.columns["selected"], np.arange(len(record))]
    return chosen


def _paired(record: Record, beside: Record, radius: float) -> dict[str, float]:
    value, interval = paired_difference(certified_at(record, radius), certified_at(beside, radius))
    return {"value": value, "low": interval.low, "high": interval.high}


def summarise_certificates(
    record: Record, radii: Sequence[float] | None = None, beside: Record | None = None
) -> dict[str, Any]:
    """The numbers of a record, as JSON values.

    ``certified`` has for each radius the certified accuracy in [0,1] with its 95 % interval, and
    the radius in Linf that the L2 radius implies (r / sqrt(3 H W)). ``acr`` is the average radius
    of all images, 0 where the class is wrong or none is certified; a few images that are easy can
    dominate it (Sun et al. 2025). With a record ``beside`` it each radius has ``paired`` too: how
    much more is certified than there, on the same images, with its 95 % interval.

    Raises:
        RecordError: it is no certificate, or ``beside`` is of other images.
    """
    require_certificate(record)
    if beside is not None:
        require_certificate(beside)
        if beside.header["data_digest"] != record.header["data_digest"]:
            raise RecordError(
                f"the records {record.name!r} and {beside.name!r} are of other images; certify "
                "both on the same ones"
            )
    header, columns, count = record.header, record.columns, len(record)
    right = columns["selected"] == columns["label"]
    radius = np.where(right, np.nan_to_num(columns["radius"], nan=0.0), 0.0)
    pixels = math.prod(header["shape"])
    rows = []
    for each in radii if radii is not None else header["radii"]:
        successes = int(certified_at(record, each).sum())
        interval = wilson(successes, count)
        rows.append(
            {
                "radius": each,
                "linf": each / math.sqrt(pixels),
                "value": successes / count,
                "low": interval.low,
                "high": interval.high,
                **({} if beside is None else {"paired": _paired(record, beside, each)}),
            }
        )
    return {
        "name": record.name,
        "images": count,
        **{key: header[key] for key in ("sigma", "alpha", "budget", "method", "precision")},
        "certified": rows,
        "abstained": float(np.isnan(columns["radius"]).mean()),
        "acr": float(radius.mean()),
        "votes": float(columns["draws"].mean()),
        "votes_share": float(columns["draws"].mean()) / 100_000,
        "spent": float((columns["stopped"] == "budget").mean()),
        "warnings": few_images(count),
    }
