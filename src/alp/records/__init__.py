"""Results that are kept: per-example records, and the numbers made from them. Needs no torch."""

from __future__ import annotations

from alp.records.calibration import Calibration, calibration
from alp.records.conclusion import (
    aggregate,
    calibrations,
    conclude,
    robust_share,
    summarise,
    worst,
)
from alp.records.points import (
    CLEAN,
    Estimate,
    Measured,
    accuracy,
    choose_points,
    mean,
    measured,
)
from alp.records.queries import best_attacker, query_difference
from alp.records.record import (
    KIND_BENCH,
    KIND_EMBEDDING,
    KIND_OPTIMA,
    KIND_PICTURES,
    KIND_POINTS,
    KIND_QUERIES,
    KIND_ROBUSTNESS,
    KIND_SPECTRA,
    KIND_TRAINING,
    KIND_VERDICT,
    SCHEMA,
    Columns,
    Record,
    read,
    read_all,
    require,
    write,
)
from alp.records.tree import RECORDS, Kept, read_tree

__all__ = [
    "CLEAN",
    "KIND_BENCH",
    "KIND_EMBEDDING",
    "KIND_OPTIMA",
    "KIND_PICTURES",
    "KIND_POINTS",
    "KIND_QUERIES",
    "KIND_ROBUSTNESS",
    "KIND_SPECTRA",
    "KIND_TRAINING",
    "KIND_VERDICT",
    "RECORDS",
    "SCHEMA",
    "Calibration",
    "Columns",
    "Estimate",
    "Kept",
    "Measured",
    "Record",
    "accuracy",
    "aggregate",
    "best_attacker",
    "calibration",
    "calibrations",
    "choose_points",
    "conclude",
    "mean",
    "measured",
    "query_difference",
    "read",
    "read_all",
    "read_tree",
    "require",
    "robust_share",
    "summarise",
    "worst",
    "write",
]
