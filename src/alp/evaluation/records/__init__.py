"""Results that are kept: per-example records, and the numbers made from them. Needs no torch."""

from __future__ import annotations

from alp.evaluation.records.columns import Columns
from alp.evaluation.records.conclusion import conclude, robust_share
from alp.evaluation.records.files import read, read_all, write
from alp.evaluation.records.layout import (
    KIND_EMBEDDING,
    KIND_PICTURES,
    KIND_POINTS,
    KIND_TRAINING,
    require,
)
from alp.evaluation.records.points import (
    CLEAN,
    Estimate,
    Measured,
    accuracy,
    choose_points,
    mean,
    measured,
)
from alp.evaluation.records.record import KIND_ROBUSTNESS, KIND_VERDICT, SCHEMA, Record
from alp.evaluation.records.selection import worst
from alp.evaluation.records.summary import aggregate, summarise
from alp.evaluation.records.tree import RECORDS, Kept, read_tree

__all__ = [
    "CLEAN",
    "KIND_EMBEDDING",
    "KIND_PICTURES",
    "KIND_POINTS",
    "KIND_ROBUSTNESS",
    "KIND_TRAINING",
    "KIND_VERDICT",
    "RECORDS",
    "SCHEMA",
    "Columns",
    "Estimate",
    "Kept",
    "Measured",
    "Record",
    "accuracy",
    "aggregate",
    "choose_points",
    "conclude",
    "mean",
    "measured",
    "read",
    "read_all",
    "read_tree",
    "require",
    "robust_share",
    "summarise",
    "worst",
    "write",
]
