"""Results that are kept: per-example records, and the numbers made from them. Needs no torch."""

from __future__ import annotations

from alp.evaluation.records.columns import Columns
from alp.evaluation.records.conclusion import conclude, robust_share
from alp.evaluation.records.files import read, read_all, write
from alp.evaluation.records.record import KIND_ROBUSTNESS, KIND_VERDICT, SCHEMA, Record
from alp.evaluation.records.selection import worst
from alp.evaluation.records.summary import aggregate, summarise
from alp.evaluation.records.tree import RECORDS, Kept, read_tree

__all__ = [
    "KIND_ROBUSTNESS",
    "KIND_VERDICT",
    "RECORDS",
    "SCHEMA",
    "Columns",
    "Kept",
    "Record",
    "aggregate",
    "conclude",
    "read",
    "read_all",
    "read_tree",
    "robust_share",
    "summarise",
    "worst",
    "write",
]
