"""A bench record to numbers: latency, throughput, draws, share of the peak, and the best backend.
Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alp.bench.statistics import Series
from alp.errors import RecordError
from alp.evaluation.records import Record

KIND_BENCH = "bench"
"""The kind of record that :func:`alp.bench.bench` makes."""


@dataclass(frozen=True)
class Row:
    """One contestant at one batch size."""

    batch: int
    """Images a call."""
    name: str
    """The contestant."""
    what: str
    """draw, draws, consensus, peer or peak."""
    backend: str
    """The backend of an engine, the name of a peer."""
    precision: str
    """float32, bfloat16 or int8; of a peer float32."""
    threads: int
    """Processor threads."""
    series: Series
    """Its timings."""
    draws: float
    """Mean draws an image; NaN where there are none."""
    flops: float
    """Mean operations of a call; NaN of a peer."""

    @property
    def median(self) -> float:
        """Median milliseconds of a call."""
        return float(np.median(self.series.ms))

    @property
    def p99(self) -> float:
        """99th percentile of the milliseconds of a call."""
        return float(np.percentile(self.series.ms, 99))

    @property
    def mean(self) -> float:
        """Mean milliseconds of a call."""
        return float(self.series.ms.mean())

    @property
    def throughput(self) -> float:
        """Images a second: at the median, of the consensus, whose calls differ, at the mean."""
        return 1000 * self.batch / (self.mean if self.what == "consensus" else self.median)


def rows(record: Record) -> list[Row]:
    """A row for each contestant at each batch size, in the order in which they were listed.

    Raises:
        RecordError: it is no bench record.
    """
    require(record)
    found = []
    size, names = record.columns["batch"], record.columns["contestant"]
    once, each_draw = record.header["flops"]["encoder"], record.header["flops"]["draw"]
    for batch in np.unique(size):
        for name, about in record.header["contestants"].items():
            mine = (size == batch) & (names == name)
            if not mine.any():
                continue
            draws = float(record.columns["draws"][mine].mean())
            found.append(
                Row(
                    batch=int(batch),
                    name=name,
                    what=about["what"],
                    backend=about.get("backend", about.get("peer", "")),
                    precision=about.get("precision", "float32"),
                    threads=about["threads"],
                    series=Series(record.columns["round"][mine], record.columns["ms"][mine]),
                    draws=draws,
                    flops=about.get("flops", int(batch) * (once + draws * each_draw)),
                )
            )
    return found


def peak(found: list[Row], row: Row) -> Row:
    """The measured matrix peak beside which a row of an engine stands: of the products in its
    precision on as many threads, the one with the most operations a second."""
    wanted = ("peak", row.batch, row.precision, row.threads)
    products = [
        each for each in found if (each.what, each.batch, each.precision, each.threads) == wanted
    ]
    return max(products, key=lambda each: each.flops / each.median)


def share(found: list[Row], row: Row) -> float:
    """Share of the measured matrix peak that an engine reaches, at the medians; NaN of a peer."""
    if row.what == "peer":
        return float("nan")
    roof = peak(found, row)
    return (row.flops / row.median) / (roof.flops / roof.median)


def best(found: list[Row], batch: int, precision: str, backend: str | None = None) -> Row | None:
    """The row of all draws with the lowest median at a batch size, in a precision: the backend and
    number of threads to choose; of ``backend`` alone where it is given. None if there is none."""
    able = [
        row
        for row in found
        if (row.what, row.batch, row.precision) == ("draws", batch, precision)
        and backend in (None, row.backend)
    ]
    return min(able, key=lambda row: row.median, default=None)


def sibling(found: list[Row], row: Row, what: str) -> Row:
    """The row of the same engine at the same batch size for ``what``."""
    mine = (row.batch, row.backend, row.precision, row.threads)
    return next(
        each
        for each in found
        if each.what == what and (each.batch, each.backend, each.precision, each.threads) == mine
    )


def reference(found: list[Row]) -> str:
    """The precision in which backends are compared: float32, or else the first that was timed."""
    precisions = [row.precision for row in found if row.what == "draws"]
    return "float32" if "float32" in precisions else precisions[0]


def require(record: Record) -> None:
    """Raise a RecordError unless it is a whole bench record."""
    if record.kind != KIND_BENCH:
        raise RecordError(
            f"the record {record.name!r} is of the kind {record.kind!r}; give one of the kind "
            f"{KIND_BENCH!r}"
        )
    missing = [name for name in ("contestants", "flops", "threads") if name not in record.header]
    missing += [
        name
        for name in ("batch", "contestant", "round", "ms", "draws")
        if name not in record.columns
    ]
    if missing:
        raise RecordError(
            f"the record {record.name!r} lacks {', '.join(missing)}; run 'alp bench' again"
        )
