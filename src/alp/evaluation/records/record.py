"""What a record is: a header in words and numbers, and raw results per example."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.evaluation.records.columns import check

SCHEMA = 1
"""Version of the layout; a reader refuses another."""

KIND_ROBUSTNESS = "robustness"
"""The kind of record that :func:`alp.evaluation.evaluate_protocol` makes."""

KIND_VERDICT = "verdict"
"""The kind of record that :func:`alp.evaluation.evaluate` makes."""


@dataclass(frozen=True, eq=False)
class Record:
    """One result, from which tables and figures are made without model, data or GPU."""

    header: dict[str, Any]
    """What was measured and how: plain JSON values. It has at least ``schema``, ``kind`` and
    ``name``; the schema is filled in where it is missing."""
    columns: dict[str, NDArray[Any]] = field(repr=False)
    """Name to raw values, one row an example: bool, integer, float or text, all of one length."""

    def __post_init__(self) -> None:
        header = json_values({"schema": SCHEMA, **self.header})
        for name in ("kind", "name"):
            if not isinstance(header.get(name), str):
                raise RecordError(f"the header's {name} is {header.get(name)!r}; give a text")
        columns = {name: np.asarray(values) for name, values in self.columns.items()}
        check(columns)
        for name, values in columns.items():
            if values.dtype.kind == "U":
                # numpy keeps the width of the longest text ever seen; Parquet does not.
                columns[name] = np.array(values.tolist(), dtype=np.str_)
        object.__setattr__(self, "header", header)
        object.__setattr__(self, "columns", columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def kind(self) -> str:
        """What the columns are, such as ``robustness``."""
        return str(self.header["kind"])

    @property
    def name(self) -> str:
        """What was measured, such as ``A-ALP + AT``."""
        return str(self.header["name"])

    def same(self, other: Record) -> bool:
        """Whether header and columns are equal to the last bit (NaN equals NaN)."""
        mine, theirs = self.columns, other.columns
        return (
            self.header == other.header
            and list(mine) == list(theirs)
            and all(mine[name].dtype == theirs[name].dtype for name in mine)
            and all(mine[name].tobytes() == theirs[name].tobytes() for name in mine)
        )


def json_values(header: Mapping[str, Any]) -> dict[str, Any]:
    """``header`` as it is after a trip through JSON (tuples become lists).

    Raises:
        RecordError: it holds what JSON cannot: other types, or a number that is not finite.
    """
    try:
        values: dict[str, Any] = json.loads(json.dumps(header, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise RecordError(
            f"the header cannot be kept as JSON ({error}); give text, finite numbers, lists and "
            "dicts, and None where there is no value"
        ) from error
    return values
