"""Records of the kind ``chains``: a diffusion model and its copy of few bits on the same noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def scheme(record: Record) -> str:
    """How the copy was quantised, such as ``W4A8, minmax``."""
    weights, inputs = record.header["bits"]
    return f"W{weights}A{inputs}, {record.header['method']}"
