"""Pictures and labels from a Parquet file in the hub's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alp.errors import DataError


def read_rows(
    path: Path, picture: str, label: str, repair: str
) -> tuple[list[bytes], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The encoded pictures and int64 labels of a file with columns ``picture`` {bytes, path} and
    ``label``.

    Raises:
        DataError: the file cannot be read or has other columns; it ends with ``repair``.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path, columns=[picture, label], partitioning=None)
        pictures = table.column(picture).combine_chunks().field("bytes").to_pylist()
        labels = table.column(label).cast(pyarrow.int64()).to_numpy()
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[:1]
        raise DataError(
            f"cannot read {path} as Parquet with the columns {picture} (bytes, path) and {label} "
            f"({''.join(reason)}); it is damaged or another file: get it again and {repair}"
        ) from error
    if table.column(label).null_count or None in pictures:
        raise DataError(f"{path} has rows without picture or label: get it again and {repair}")
    return pictures, np.ascontiguousarray(labels, dtype=np.int64)
