"""Records that are made once: made where they are missing, read and verified in any case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alp.errors import RecordError
from alp.executors import first_then_others
from alp.records.record import Record, json_values, read, write
from alp.seeding import require_same


def made_once(path: Path, make: Callable[[], Record], expected: Mapping[str, Any]) -> Record:
    """The record at ``path`` (without its ending), made by ``make`` if it is not there. Of several
    processes the first makes it.

    Raises:
        RecordError: the record is damaged, or its header does not say what ``expected`` does.
        ConfigError: the record is of the other seeding scheme.
    """

    def made() -> Record:
        if not path.with_name(f"{path.name}.json").exists():
            write(make(), path)
        return read(path)

    record = first_then_others(made)
    require_same(record.header, f"{path}.json")
    for key, value in json_values(dict(expected)).items():
        found = record.header.get(key)
        if found != value and key == "weights":
            raise RecordError(
                f"{path}.json is of another model, with other weights; give another folder, or "
                "delete the record to measure again"
            )
        if found != value:
            raise RecordError(
                f"{path}.json has {key} {found!r}, this evaluation {value!r}; "
                "give another folder, or delete the record to measure again"
            )
    return record
