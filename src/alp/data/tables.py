"""Data sets as Hugging Face's ``datasets`` keeps them: Arrow folders, and Parquet files.

pyarrow reads both; Parquet is copied to an Arrow file in the cache once, which is then mapped, so
that no more of it is in memory than is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from alp.data.cache import cache_folder, file_key
from alp.data.decode import Pixels, decode_one
from alp.data.streamed import Pictures
from alp.errors import DataError
from alp.files import exists, write_atomically

_IMAGES = ("image", "img", "pixels", "picture")
_LABELS = ("label", "labels", "fine_label", "class", "target")


@dataclass(frozen=True)
class Table(Pictures):
    """Encoded pictures in a column of a table."""

    column: pa.ChunkedArray
    """Of binary values, or of structs with ``bytes``."""
    where: str
    """What messages call the table."""

    def __len__(self) -> int:
        return len(self.column)

    def name(self, row: int) -> str:
        return f"picture {row} of {self.where}"

    def pixels(self, row: int) -> Pixels:
        return decode_one(self.content(row), self.name(row))

    def content(self, row: int) -> bytes:
        value = self.column[row].as_py()
        value = value.get("bytes") if isinstance(value, Mapping) else value
        if not isinstance(value, bytes):
            raise DataError(
                f"{self.name(row)} holds no bytes of a picture file; save the data set with "
                "its pictures embedded (datasets.Image(decode=False) and save_to_disk, or Parquet)"
            )
        return value


def is_table(folder: Path) -> bool:
    """Whether a folder is one of ``datasets``, or holds Parquet files."""
    marks = ("dataset_dict.json", "state.json", "dataset_info.json")
    return any(exists(folder / mark) for mark in marks) or bool(_parquet(folder))


def read_table(folder: Path, split: str) -> tuple[Table, torch.Tensor, tuple[str, ...], bool]:
    """The pictures of a split, their labels int64 (N,), the class names, and whether the folder
    has a test split of its own; without one, the pictures are all there are.

    Raises:
        DataError: it holds no column of pictures or none of labels, or is damaged.
    """
    parts = _splits(folder)
    divided = "test" in parts and "train" in parts
    # A validation part of its own is left aside: as in folders, the training pictures are split.
    wanted = ("test" if split == "test" else "train") if divided else next(iter(parts))
    where = f"{folder.name}/{wanted}" if divided else folder.name
    try:
        table = _mapped(folder, parts[wanted])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"the data set {where} cannot be read ({error}); save it again") from error
    image, label = (_column(table, names, where) for names in (_IMAGES, _LABELS))
    names = _names(table, label)
    values = table[label].to_numpy()
    if values.dtype.kind in "OU":
        texts = np.array([str(each) for each in values])
        names = tuple(sorted(set(texts.tolist()))) if names is None else names
        places = {name: place for place, name in enumerate(names)}
        values = np.array([places.get(each, -1) for each in texts.tolist()])
    if names is None:
        names = tuple(str(each) for each in range(int(values.max(initial=0)) + 1))
    return Table(table[image], where), torch.from_numpy(values.astype(np.int64)), names, divided


def _splits(folder: Path) -> dict[str, list[Path]]:
    """Split to its files: ``train`` and ``test`` where there are both, else all as one."""
    found: dict[str, list[Path]] = {}
    if exists(folder / "dataset_dict.json"):
        for inside in sorted(path for path in folder.iterdir() if path.is_dir()):
            found[inside.name] = sorted(inside.glob("*.arrow"))
    elif arrows := sorted(folder.glob("*.arrow")):
        found["all"] = arrows
    else:
        for each in _parquet(folder):
            name = re.match(r"(train|test|validation|val)\b", each.stem)
            beneath = each.parent.name if each.parent.name in ("train", "test") else "all"
            found.setdefault(name[1] if name else beneath, []).append(each)
    found = {name: paths for name, paths in found.items() if paths}
    if not found:
        raise DataError(f"{folder} holds no Arrow or Parquet files; save the data set again")
    return found


def _parquet(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.parquet"), *folder.glob("*/*.parquet")])


def _mapped(folder: Path, files: list[Path]) -> pa.Table:
    """The table of some files, mapped into memory."""
    if files[0].suffix == ".parquet":
        key = file_key({path.relative_to(folder).as_posix(): path for path in files})
        copy = cache_folder() / f"{folder.name}-{key[:24]}.arrow"
        if not exists(copy):
            write_atomically(copy, lambda temporary: _copied(files, temporary))
        files = [copy]
    return pa.concat_tables(
        [pa.ipc.open_stream(pa.memory_map(str(each))).read_all() for each in files]
    )


def _copied(files: list[Path], place: Path) -> None:
    """Write the rows of Parquet files as one Arrow stream, a row group at a time."""
    schema = pq.read_schema(files[0])
    with pa.OSFile(str(place), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in _batches(files):
            writer.write_batch(batch.cast(schema))


def _batches(files: list[Path]) -> Iterator[pa.RecordBatch]:
    for path in files:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=256)


def _column(table: pa.Table, names: tuple[str, ...], where: str) -> str:
    for name in names:
        if name in table.column_names:
            return name
    raise DataError(
        f"{where} has the columns {', '.join(table.column_names)}; rename one to {names[0]!r}"
    )


def _names(table: pa.Table, label: str) -> tuple[str, ...] | None:
    """The class names in the metadata that ``datasets`` writes."""
    raw = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    try:
        features: Any = json.loads(raw)["info"]["features"]
        names = features[label]["names"]
        return tuple(map(str, names)) if isinstance(names, list) else None
    except (ValueError, LookupError, TypeError):
        return None
