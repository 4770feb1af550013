"""Records on disk: NAME.json and NAME.parquet, written atomically, verified when read.

The JSON holds the header, the sha256 of the Parquet file and a sha256 over both; it has to be,
byte for byte, what this module writes. So every change of either file is noticed, a header edited
by hand included.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from alp.errors import RecordError
from alp.evaluation.records.columns import decode, encode
from alp.evaluation.records.record import SCHEMA, Record
from alp.files import write_atomically

_REPAIR = "restore both files from their source, or delete them and evaluate again"


def write(record: Record, path: str | Path) -> Path:
    """Write ``record`` as ``path``.json and ``path``.parquet; the path of the JSON.

    ``path`` is folder/name, with or without ``.json``; the folder is made. A kill at any moment
    leaves the old record, the new one, or none, never a mixture that could be read.
    """
    head, body = _pair(path)
    data = encode(record.columns)
    text = _document(record.header, _sha256(data))
    if body.exists() and body.read_bytes() != data:
        head.unlink(missing_ok=True)
    write_atomically(body, lambda temporary: temporary.write_bytes(data))
    write_atomically(head, lambda temporary: temporary.write_bytes(text))
    return head


def read(path: str | Path) -> Record:
    """The record at ``path`` (folder/name, with or without ``.json``), verified.

    Raises:
        RecordError: a file is missing, damaged, edited, of another schema or no record at all;
            the message names it and the repair.
    """
    head, body = _pair(path)
    raw = _bytes(head)
    document = _parse(head, raw)
    header = document["header"]
    if header.get("schema") != SCHEMA:
        raise RecordError(
            f"{head} has the record schema {header.get('schema')!r}, this alp reads {SCHEMA}; "
            f"read it with the alp that wrote it, or evaluate again"
        )
    data = _bytes(body)
    if raw != _document(header, _sha256(data)):
        damaged = body if raw == _document(header, document["parquet_sha256"]) else head
        raise RecordError(f"{damaged} is damaged or was edited; {_REPAIR}")
    try:
        return Record(header, decode(data))
    except RecordError as error:
        raise RecordError(f"{head} is no usable record: {error}; {_REPAIR}") from error


def read_all(folder: str | Path) -> tuple[list[Record], list[RecordError]]:
    """Every record of ``folder`` in the order of the file names, and why the others were refused.

    Raises:
        RecordError: the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordError(f"{folder} is no folder; give the folder that holds the records")
    records, errors = [], []
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("."):
            continue  # what a writer that was killed left behind
        try:
            records.append(read(path))
        except RecordError as error:
            errors.append(error)
    return records, errors


def _pair(path: str | Path) -> tuple[Path, Path]:
    # Not with_suffix: a name such as "sigma-0.5" has a dot of its own.
    stem = str(path).removesuffix(".json")
    return Path(stem + ".json"), Path(stem + ".parquet")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path} cannot be read ({error.strerror}); {_REPAIR}") from error


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path} is not JSON ({error}); {_REPAIR}") from error
    if not isinstance(document, dict) or not isinstance(document.get("header"), dict):
        raise RecordError(f"{path} is no record of alp; move it out of the folder")
    return {"parquet_sha256": "", **document}


def _document(header: dict[str, Any], parquet_sha256: str) -> bytes:
    content = {"header": header, "parquet_sha256": parquet_sha256}
    sealed = {**content, "sha256": _sha256(json.dumps(content).encode())}
    return (json.dumps(sealed, indent=1) + "\n").encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
