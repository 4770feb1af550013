"""Records of the kind ``chains``: a diffusion model and its copy of few bits on the same noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.records.record import KIND_CHAINS, Record, require


def amplification(record: Record, steps: int) -> NDArray[Any] | None:
    """Of each image, (n,): the difference of the two chains of ``steps`` steps at their end over
    that of independent errors of all steps; None where the record has no such chains.

    Raises:
        RecordError: it is of another kind, or lacks what the kind has.
    """
    require(record, KIND_CHAINS)
    if str(steps) not in record.header["lengths"]:
        return None
    difference, fresh = (record.columns[f"{steps}_{part}"] for part in ("difference", "fresh"))
    times: NDArray[Any] = difference.astype(np.float64) / fresh
    return times


def after_each_step(record: Record, what: str) -> NDArray[Any]:
    """Of the longest chain, (steps, n): after each step the ``difference`` of the two chains, or
    the ``fresh`` error that the step alone adds.

    Raises:
        RecordError: it is of another kind, or lacks what the kind has.
    """
    require(record, KIND_CHAINS)
    names = [f"after_{step}_{what}" for step in range(1, int(record.header["followed"]) + 1)]
    missing = [name for name in names if name not in record.columns]
    if missing:
        raise RecordError(
            f"the record {record.name!r} of the kind {KIND_CHAINS!r} lacks the column "
            f"{missing[0]!r}; run the experiment again"
        )
    return np.stack([record.columns[name] for name in names]).astype(np.float64)


def scheme(record: Record) -> str:
    """How the copy was quantised, such as ``W4A8, minmax``."""
    weights, inputs = record.header["bits"]
    return f"W{weights}A{inputs}, {record.header['method']}"
