"""Every record below a folder, told apart from the other files that runs leave there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alp.errors import RecordError
from alp.records.record import Record, read

RECORDS = "records"
"""A folder of this name holds nothing but records."""

_SEAL = b'"parquet_sha256"'


@dataclass(frozen=True, eq=False)
class Kept:
    """A record and where it is kept."""

    path: str
    """Its JSON file below the folder that was read, with ``/`` on every system."""
    record: Record
    """What it holds."""

    @property
    def folder(self) -> str:
        """The folder of the file, empty for the one that was read."""
        return self.path.rpartition("/")[0]

    @property
    def run(self) -> str:
        """Where the run is that it belongs to: its folder, or the one above ``records``."""
        above, _, name = self.folder.rpartition("/")
        return above if name == RECORDS else self.folder

    @property
    def item(self) -> str:
        """The experiment that made it, empty where no experiment did."""
        return str(self.record.header.get("item", ""))


def read_tree(folder: str | Path) -> tuple[list[Kept], list[RecordError]]:
    """Every record below ``folder`` in the order of the paths, and why others were refused.

    A JSON file counts as a record where it lies in a folder called ``records``, has a Parquet file
    of its name beside it, or is sealed as records are; a Parquet file in ``records`` needs its
    JSON. Others, such as tables and settings, are passed over. Messages name paths below
    ``folder``, so that they do not depend on where it lies.

    Raises:
        RecordError: the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordError(f"{folder} is no folder; give the folder that holds the records")
    kept, errors = [], []
    for path in sorted(folder.rglob("*.json"), key=lambda path: path.relative_to(folder).parts):
        if path.name.startswith(".") or not path.is_file() or not _is_meant_as_record(path):
            continue
        name = path.relative_to(folder).as_posix()
        try:
            kept.append(Kept(name, read(path)))
        except RecordError as error:
            full, below = (str(each).removesuffix(".json") for each in (path, name))
            errors.append(RecordError(str(error).replace(full, below)))
    for path in sorted(folder.rglob(f"{RECORDS}/*.parquet")):
        if not path.with_name(path.name.removesuffix(".parquet") + ".json").exists():
            name = path.relative_to(folder).as_posix()
            errors.append(
                RecordError(f"{name} has no JSON file beside it; restore it, or evaluate again")
            )
    return kept, errors


def _is_meant_as_record(path: Path) -> bool:
    beside = path.with_name(path.name.removesuffix(".json") + ".parquet")
    if path.parent.name == RECORDS or beside.exists():
        return True
    try:
        return _SEAL in path.read_bytes()
    except OSError:
        return False
