"""What a record is: a header in words and numbers, and raw results per example.

Per-example columns as Parquet bytes and back.

Records on disk: NAME.json and NAME.parquet, written atomically, verified when read.

The JSON holds the header, the sha256 of the Parquet file and a sha256 over both; it has to be,
byte for byte, what this module writes. So every change of either file is noticed, a header edited
by hand included.

What a record of each kind that experiments make has to hold, checked when it is read.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from alp.errors import AlpError, RecordError, install
from alp.files import write_atomically
from alp.version import __version__

if TYPE_CHECKING:
    import pandas

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
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), sink)
    return bytes(sink.getvalue())


def decode(data: bytes) -> dict[str, NDArray[Any]]:
    """The columns in a Parquet file of :func:`encode`.

    Raises:
        RecordError: the bytes are no such file.
    """
    try:
        # Arrow's memory, not a Python file: a thread of Arrow's that lets go of one while Python
        # ends aborts the process.
        table = pq.read_table(pa.BufferReader(data), use_threads=False, pre_buffer=False)
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


SCHEMA = 1
"""Version of the layout; a reader refuses another."""

KIND_ROBUSTNESS = "robustness"
"""The kind of record that :func:`alp.evaluation.evaluate` makes of the paper's protocol."""

KIND_VERDICT = "verdict"
"""The kind of record that :func:`alp.evaluation.evaluate` makes of a suite."""

KIND_QUERIES = "queries"
"""The kind of record that :func:`alp.evaluation.evaluate` makes of the suite ``queries``
(queries.py has the columns)."""

_PREDICTED = ("select", "fresh", "prediction", "queries")
"""How the names of columns end that have -1 where nothing was predicted, or found."""

KIND_BENCH = "bench"
"""The kind of record that :func:`alp.bench.bench` makes."""


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

    def save(self, path: str | Path) -> Path:
        """Write the record as :func:`write` does: ``path``.json and ``path``.parquet; the path of
        the JSON.

        Raises:
            OutputError: a file cannot be written.
        """
        return write(self, path)

    def to_pandas(self) -> pandas.DataFrame:
        """The columns as a table, one row an image. Where nothing was predicted, for which the
        columns have -1, it has NaN.

        Raises:
            AlpError: pandas is not installed.
        """
        if find_spec("pandas") is None:
            raise AlpError(f"tables need pandas, which is not installed: {install('interop')}")
        import pandas

        frame = pandas.DataFrame(self.columns)
        for name in frame.columns:
            if name.rpartition("_")[2] in _PREDICTED:
                frame[name] = frame[name].astype("float64").where(frame[name] >= 0)
        return frame

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


KIND_POINTS = "points"
"""One model at a list of settings (points.py has the columns)."""

KIND_TRAINING = "training"
"""The curves of a purifier's training, one row a stretch of steps: ``step`` (the last of it),
``sigma``, ``latent_snr`` (power of the latent mean over the noise's), ``bits_per_latent`` (rate
in bits a latent value) and ``mse`` (on [0,1]), means over the stretch. Header: ``trial``, ``seed``,
``steps``, ``batch_size``, ``data``, ``psnr`` (dB that the constraint asks for), ``sigma`` (the
final one), ``weights``, and in newer records ``start`` (sigma before the first step)."""

KIND_EMBEDDING = "embedding"
"""Penultimate features in the plane, one row an image: ``index``, ``label``; for each set
(``clean``, ``attacked``, ``purified``) ``<set>_x``, ``<set>_y`` (t-SNE, one embedding of all sets),
``<set>_prediction``, and ``<set>_share`` (share of its ``neighbours`` nearest clean images, itself
left out, in the space of the features, that have its class). Header: ``sets``, ``neighbours``,
``perplexity``, ``threat``, ``attack``, ``level``."""

KIND_PICTURES = "pictures"
"""Pictures, one row an image: ``index``, ``label``; for each set (``clean``, ``attacked``,
``purified``) ``<set>_png`` (base64 of a PNG file), ``<set>_prediction``, ``<set>_confidence``
(softmax of the logits that decide). Header: ``trial``, ``sets``, ``threat``, ``attack``,
``level``."""

KIND_SPECTRA = "spectra"
"""Spectra, one row an image: ``index``, ``label``; for each set (``attack``; ``behind``, what is
left of it behind the purifier; ``removed``, what purification takes from the clean image)
``<set>_<number>``, the power between ``number`` and ``number + 1`` times 0.5 / ``BINS`` cycles a
pixel, all beyond in the last. Header: ``sets``, ``threat``, ``attack``, ``level``."""

KIND_OPTIMA = "optima"
"""Classifiers of highest accuracy under attack of a problem in closed form, one row a radius that
one is made for: ``eps``, ``clean`` (its accuracy where nothing attacks), ``attacked`` (under an
attack of that radius), ``accurate_attacked`` (that of the most accurate classifier under the same
attack). Header: ``features``, ``reliable``, ``mean``, ``bound`` (no classifier as accurate as the
most accurate one has more right under an attack of twice the mean)."""

KIND_CHAINS = "chains"
"""Chains of a diffusion model and of its copy of few bits on the same noise, one row an image:
``index``, ``label``; for each length ``<steps>_difference`` (of the two at the end, root mean
square over pixels in [-1,1]) and ``<steps>_fresh`` (root of the summed squares of what each step
alone adds: the difference that independent errors would give); and after each step of the longest,
from 1, ``after_<step>_difference`` and ``after_<step>_fresh`` (what that step alone adds). Header:
``lengths``, ``followed`` (the longest), ``bits`` (of weights and of inputs), ``method``."""

BINS = 16
"""Steps of radial frequency in a record of spectra."""

_COMMON = ("seed", "data", "images")


@dataclass(frozen=True)
class Layout:
    """What a kind holds."""

    header: tuple[str, ...]
    """Keys of the header."""
    columns: tuple[str, ...]
    """Columns that every record of the kind has."""
    each: str = ""
    """Key of the header whose entries each have columns of their own."""
    parts: tuple[str, ...] = ()
    """The ends of the names of these columns."""


LAYOUTS: dict[str, Layout] = {
    KIND_POINTS: Layout(
        (*_COMMON, "trial", "draws", "sigma", "attack", "threat", "points"),
        ("index", "label"),
        "points",
        ("correct", "psnr", "passed"),
    ),
    KIND_TRAINING: Layout(
        ("seed", "data", "trial", "steps", "batch_size", "psnr", "sigma"),
        ("step", "sigma", "latent_snr", "bits_per_latent", "mse"),
    ),
    KIND_EMBEDDING: Layout(
        (*_COMMON, "draws", "attack", "threat", "level", "sets", "neighbours", "perplexity"),
        ("index", "label"),
        "sets",
        ("x", "y", "prediction", "share"),
    ),
    KIND_SPECTRA: Layout(
        (*_COMMON, "draws", "attack", "threat", "level", "sets"),
        ("index", "label"),
        "sets",
        tuple(str(number) for number in range(BINS)),
    ),
    KIND_OPTIMA: Layout(
        ("seed", "features", "reliable", "mean", "bound"),
        ("eps", "clean", "attacked", "accurate_attacked"),
    ),
    KIND_CHAINS: Layout(
        (*_COMMON, "lengths", "followed", "bits", "method"),
        ("index", "label"),
        "lengths",
        ("difference", "fresh"),
    ),
    KIND_PICTURES: Layout(
        (*_COMMON, "trial", "draws", "attack", "threat", "level", "sets"),
        ("index", "label"),
        "sets",
        ("png", "prediction", "confidence"),
    ),
}
"""Kind to what its records hold."""


def require(record: Record, kind: str) -> None:
    """Check a record before it is used.

    Raises:
        RecordError: it is of another kind, or lacks a key of the header or a column.
    """
    if record.kind != kind:
        raise RecordError(
            f"the record {record.name!r} is of the kind {record.kind!r}; give one of the kind "
            f"{kind!r}"
        )
    layout = LAYOUTS[kind]
    missing = [key for key in layout.header if key not in record.header]
    columns = list(layout.columns)
    entries = record.header.get(layout.each, []) if layout.each else []
    for entry in entries if isinstance(entries, list) else []:
        columns += [f"{_name(entry)}_{part}" for part in layout.parts]
    missing += [name for name in columns if name not in record.columns]
    if kind == KIND_POINTS and not missing:
        missing += _incomplete(record.header)
    if missing:
        raise RecordError(
            f"the record {record.name!r} lacks {', '.join(missing)}; run the experiment again"
        )


def _name(entry: Any) -> str:
    return str(entry.get("name")) if isinstance(entry, Mapping) else str(entry)


def _incomplete(header: Mapping[str, Any]) -> list[str]:
    """What the points of a header lack."""
    keys = ("name", "level", "eps", "sigma", "averaged")
    points = header["points"]
    if not isinstance(points, list) or not points:
        return ["points"]
    return [
        f"{key} of point {number}"
        for number, point in enumerate(points)
        for key in keys
        if not isinstance(point, Mapping) or key not in point
    ]


def versions() -> dict[str, str]:
    """What computed the record."""
    return {
        "alp": __version__,
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
    }
