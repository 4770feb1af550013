"""What a record of each kind that experiments make has to hold, checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alp.errors import RecordError
from alp.evaluation.records.record import Record

KIND_POINTS = "points"
"""One model at a list of settings (points.py has the columns)."""

KIND_TRAINING = "training"
"""The curves of a purifier's training, one row a stretch of steps: ``step`` (the last of it),
``sigma``, ``latent_snr`` (power of the latent mean over the noise's), ``bits_per_latent`` (rate
in bits a latent value) and ``mse`` (on [0,1]), means over the stretch. Header: ``trial``, ``seed``,
``steps``, ``batch_size``, ``data``, ``psnr`` (dB that the constraint asks for), ``sigma`` (the
final one), ``weights``."""

KIND_EMBEDDING = "embedding"
"""Penultimate features in the plane, one row an image: ``index``, ``label``; for each set
(``clean``, ``attacked``, ``purified``) ``<set>_x``, ``<set>_y`` (t-SNE, one embedding of all sets),
``<set>_prediction``, and ``<set>_share`` (share of its ``neighbours`` nearest clean images, itself
left out, in the space of the features, that have its class). Header: ``sets``, ``neighbours``,
``perplexity``, ``threat``, ``attack``, ``level``."""

KIND_PICTURES = "pictures"
"""Pictures, one row an image: ``index``, ``label``; for each set (``clean``, ``attacked``,
``purified``) ``<set>_png`` (base64 of a PNG file), ``<set>_prediction``, ``<set>_confidence``
(softmax of the logits that decide). Header: ``sets``, ``threat``, ``attack``, ``level``."""

_COMMON = ("seed", "data", "images")


@dataclass(frozen=True)
class Layout:
    """What a kind holds."""

    header: tuple[str, ...]
    """Keys of the header."""
    columns: tuple[str, ...]
    """Columns that every record of the kind has."""
    each: str = ""
    """Key of the header whose entries each have columns of their own."""
    parts: tuple[str, ...] = ()
    """The ends of the names of these columns."""


LAYOUTS: dict[str, Layout] = {
    KIND_POINTS: Layout(
        (*_COMMON, "trial", "draws", "sigma", "attack", "threat", "points"),
        ("index", "label"),
        "points",
        ("correct", "psnr", "passed"),
    ),
    KIND_TRAINING: Layout(
        ("seed", "data", "trial", "steps", "batch_size", "psnr", "sigma"),
        ("step", "sigma", "latent_snr", "bits_per_latent", "mse"),
    ),
    KIND_EMBEDDING: Layout(
        (*_COMMON, "draws", "attack", "threat", "level", "sets", "neighbours", "perplexity"),
        ("index", "label"),
        "sets",
        ("x", "y", "prediction", "share"),
    ),
    KIND_PICTURES: Layout(
        (*_COMMON, "draws", "attack", "threat", "level", "sets"),
        ("index", "label"),
        "sets",
        ("png", "prediction", "confidence"),
    ),
}
"""Kind to what its records hold."""


def require(record: Record, kind: str) -> None:
    """Check a record before it is used.

    Raises:
        RecordError: it is of another kind, or lacks a key of the header or a column.
    """
    if record.kind != kind:
        raise RecordError(
            f"the record {record.name!r} is of the kind {record.kind!r}; give one of the kind "
            f"{kind!r}"
        )
    layout = LAYOUTS[kind]
    missing = [key for key in layout.header if key not in record.header]
    columns = list(layout.columns)
    entries = record.header.get(layout.each, []) if layout.each else []
    for entry in entries if isinstance(entries, list) else []:
        columns += [f"{_name(entry)}_{part}" for part in layout.parts]
    missing += [name for name in columns if name not in record.columns]
    if kind == KIND_POINTS and not missing:
        missing += _incomplete(record.header)
    if missing:
        raise RecordError(
            f"the record {record.name!r} lacks {', '.join(missing)}; run the experiment again"
        )


def _name(entry: Any) -> str:
    return str(entry.get("name")) if isinstance(entry, Mapping) else str(entry)


def _incomplete(header: Mapping[str, Any]) -> list[str]:
    """What the points of a header lack."""
    keys = ("name", "level", "eps", "sigma", "averaged")
    points = header["points"]
    if not isinstance(points, list) or not points:
        return ["points"]
    return [
        f"{key} of point {number}"
        for number, point in enumerate(points)
        for key in keys
        if not isinstance(point, Mapping) or key not in point
    ]
