"""Finished parts on disk, so that a killed evaluation goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from alp import seeding
from alp.errors import ConfigError
from alp.files import write_atomically
from alp.records import Columns
from alp.records.record import decode, encode


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
        path = folder / "configuration.json"
        if path.exists():
            _require_same(path, json.loads(text))
        else:
            write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))
        self._folder = folder
        self._configuration = text.encode()

    def load(self, batch: int, part: str = "batch") -> dict[str, NDArray[Any]] | None:
        """The columns of a finished batch, or None where it has to be computed."""
        for path in self._folder.glob(f"{part}-{batch:06d}-*.parquet"):
            data = path.read_bytes()
            if path.name == self._name(part, batch, data):
                return decode(data)
        return None

    def save(self, batch: int, columns: Columns, part: str = "batch") -> None:
        """Keep the columns of a finished batch."""
        data = encode(columns)
        path = self._folder / self._name(part, batch, data)
        write_atomically(path, lambda temporary: temporary.write_bytes(data))

    def _name(self, part: str, batch: int, data: bytes) -> str:
        place = f"{part}-{batch:06d}"
        digest = hashlib.sha256(place.encode() + self._configuration + data).hexdigest()
        return f"{place}-{digest[:32]}.parquet"


def finished_batches(folder: str | Path | None, header: dict[str, Any]) -> FinishedBatches | None:
    """The folder of an evaluation whose record begins with ``header``; None without a folder.

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
    return FinishedBatches(Path(folder), configuration)


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
        keys = [key for key in configuration if found.get(key) != configuration[key]]
        differs = f"differs in: {', '.join(keys) or 'its fields'}"
    raise ConfigError(
        f"{path.parent} holds the batches of another evaluation ({differs}); "
        "give another resume folder, or delete this one"
    )
