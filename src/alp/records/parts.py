"""Finished parts on disk, so that a killed evaluation goes on where it stopped; records that are
made once: made where they are missing, read and verified in any case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from alp import seeding
from alp.errors import ConfigError, RecordError
from alp.executors import first_then_others
from alp.files import write_atomically
from alp.records import Columns
from alp.records.record import Record, decode, encode, json_values, read, write
from alp.seeding import require_same

_CONFIGURATION = "configuration.json"
_DIGEST = 32


class FinishedBatches:
    """A folder with one file a finished batch of a part of the evaluation.

    A file's name holds a digest of the configuration and of its content: a damaged file, or one
    of another evaluation, does not match its name and is computed again.
    """

    def __init__(self, folder: Path, configuration: dict[str, Any]) -> None:
        """Open the folder, or make it, for one configuration (JSON values).

        Raises:
            ConfigError: the folder belongs to an evaluation of another configuration.
        """
        text = json.dumps(configuration, indent=1)
        path = folder / _CONFIGURATION
        if path.exists():
            _require_same(path, json.loads(text))
        else:
            write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))
        self._folder = folder
        self._configuration = text.encode()

    def names(self) -> dict[Path, tuple[str, int]]:
        """File to part and number of each batch that was finished. The folder is listed once."""
        found = {}
        for path in sorted(self._folder.glob("*-*-*.parquet")):
            part, _, number = path.name.rpartition("-")[0].rpartition("-")
            if number.isdecimal():
                found[path] = (part, int(number))
        return found

    def all(self) -> dict[tuple[str, int], dict[str, NDArray[Any]]]:
        """Part and number of each finished batch to its columns, verified."""
        found = {}
        for path, place in self.names().items():
            data = path.read_bytes()
            if path.name == self._name(*place, data):
                found[place] = decode(data)
        return found

    def seen(self) -> bool:
        """Whether this machine sees the folder as it was opened."""
        path = self._folder / _CONFIGURATION
        try:
            return path.read_bytes() == self._configuration
        except OSError:
            return False

    def save(self, batch: int, columns: Columns, part: str = "batch") -> None:
        """Keep the columns of a finished batch."""
        data = encode(columns)
        path = self._folder / self._name(part, batch, data)
        write_atomically(path, lambda temporary: temporary.write_bytes(data))

    def begun(self, batch: int, part: str) -> Begun:
        """Where the finished steps of an unfinished batch are kept."""
        place = f"{part}-{batch:06d}"
        return Begun(self._folder / f"{place}.begun", place.encode() + self._configuration)

    def _name(self, part: str, batch: int, data: bytes) -> str:
        place = f"{part}-{batch:06d}"
        digest = hashlib.sha256(place.encode() + self._configuration + data).hexdigest()
        return f"{place}-{digest[:32]}.parquet"


class Begun:
    """A file with the finished steps of a batch, and a digest of them and of what they are of."""

    def __init__(self, path: Path, of: bytes) -> None:
        """``of``: the batch and the configuration."""
        self._path, self._of = path, of

    def load(self) -> bytes | None:
        """What was saved last; None where there is nothing, or what is there is damaged or of
        another evaluation."""
        try:
            held = self._path.read_bytes()
        except OSError:
            return None
        told, data = held[:_DIGEST], held[_DIGEST:]
        return data if told == self._digest(data) else None

    def save(self, data: bytes) -> None:
        """Keep ``data`` in place of what was saved before."""
        whole = self._digest(data) + data
        write_atomically(self._path, lambda temporary: temporary.write_bytes(whole))

    def forget(self) -> None:
        """The batch is finished."""
        self._path.unlink(missing_ok=True)

    def _digest(self, data: bytes) -> bytes:
        return hashlib.sha256(self._of + data).digest()


def finished_batches(
    folder: str | Path | None, header: dict[str, Any], computed: dict[str, Any]
) -> FinishedBatches | None:
    """The folder of an evaluation whose record begins with ``header``; None without a folder.

    Args:
        computed: what else decides about the last bit of a result: threads, processor.

    Raises:
        ConfigError: the header names no weights, or the folder belongs to another evaluation.
    """
    if folder is None:
        return None
    if not header["weights"]:
        raise ConfigError(
            "a resume folder needs the digests of the weights, or it might give the results of "
            "another model; name them in About(weights=...)"
        )
    # Latency differs from run to run and changes no result.
    configuration = {key: value for key, value in header.items() if key != "latency"}
    return FinishedBatches(Path(folder), {**configuration, "computed": computed})


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The keys whose values differ; of ``versions`` and, where nothing else differs, ``computed``
    each entry with its values."""
    keys = [key for key in here if there.get(key) != here[key]]
    told = []
    for key in keys:
        if key == "versions" or (key == "computed" and keys == [key]):
            other = there.get(key) or {}
            told += [
                f"{name} ({other.get(name)} there, {each} here)"
                for name, each in here[key].items()
                if other.get(name) != each
            ]
        elif key != "computed":
            told.append(key)
    return ", ".join(told)


def _require_same(path: Path, configuration: dict[str, Any]) -> None:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if found == configuration:
        return
    differs = "it cannot be read"
    if isinstance(found, dict):
        if found.get("seeding") != configuration.get("seeding"):
            seeding.require_same(found, path.parent)
        differs = f"differs in: {differences(found, configuration) or 'its fields'}"
    raise ConfigError(
        f"{path.parent} holds the batches of another evaluation ({differs}); "
        "give another resume folder, or delete this one"
    )


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
