"""Per-example columns as Parquet bytes and back."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from alp.errors import RecordError

Columns = Mapping[str, NDArray[Any]]
"""Name to values, one a row: bool, integer, float or text arrays of one length."""


def check(columns: Columns) -> None:
    """Raise a RecordError unless ``columns`` are one-dimensional, of a plain type, equally long."""
    lengths = {len(values) if values.ndim == 1 else -1 for values in columns.values()}
    if not columns or len(lengths) > 1 or -1 in lengths:
        shapes = {name: values.shape for name, values in columns.items()}
        raise RecordError(f"columns of shapes {shapes}; give arrays (n,) of one length")
    for name, values in columns.items():
        if values.dtype.kind not in "biufU":
            raise RecordError(
                f"column {name!r} is {values.dtype}; give bool, integer, float or text"
            )


def encode(columns: Columns) -> bytes:
    """The Parquet file of ``columns``; the same columns give the same bytes."""
    sink = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), sink)
    return sink.getvalue()


def decode(data: bytes) -> dict[str, NDArray[Any]]:
    """The columns in a Parquet file of :func:`encode`.

    Raises:
        RecordError: the bytes are no such file.
    """
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise RecordError(f"no readable Parquet table ({error})") from error
    columns = {
        name: table[name].to_numpy(zero_copy_only=False)  # type: ignore[no-untyped-call]
        for name in table.column_names
    }
    return {
        name: values.astype(np.str_) if values.dtype.kind == "O" else values
        for name, values in columns.items()
    }
