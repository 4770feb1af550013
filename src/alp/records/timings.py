"""A bench record to numbers: latency, throughput, draws, share of the peak, and the best backend.
Needs no torch.

What the project promises about speed, judged by a record. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from alp.errors import RecordError
from alp.records import KIND_BENCH, Record
from alp.records.statistics import Ratio, Series, Statistic, ratio


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
    """The backend of an engine, the name of a baseline."""
    precision: str
    """float32, bfloat16 or int8; of a baseline float32."""
    threads: int
    """Processor threads."""
    series: Series
    """Its timings."""
    draws: float
    """Mean draws an image; NaN where there are none."""
    flops: float
    """Mean operations of a call; NaN of a baseline."""

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
    """Share of the measured matrix peak that an engine reaches, at the medians; NaN of a
    baseline."""
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


EAGER = "eager"
"""The backend that the others are measured against."""

Measure = Callable[[list[Row], int], Ratio | None]
"""All rows and a batch size -> a ratio, None where what it takes was not timed."""


@dataclass(frozen=True)
class Target:
    """A bound on a ratio of two timings of one run."""

    words: str
    """What is compared."""
    batch: int
    """Images a call."""
    bound: float
    """The bound."""
    at_most: bool
    """Whether the ratio has to stay below it, else above."""
    measure: Measure
    """The ratio."""


@dataclass(frozen=True)
class Judged:
    """A target and what was measured."""

    target: Target
    """The target."""
    ratio: Ratio | None
    """The measured ratio; None where what it takes was not timed."""

    @property
    def reached(self) -> bool | None:
        """Whether the measured ratio keeps the bound; None where there is none."""
        if self.ratio is None:
            return None
        if self.target.at_most:
            return self.ratio.value <= self.target.bound
        return self.ratio.value >= self.target.bound


def _engines(above: str, below: str, statistic: Statistic) -> Measure:
    """Two predictions of the best backend."""

    def measure(found: list[Row], batch: int) -> Ratio | None:
        chosen = best(found, batch, reference(found))
        if chosen is None:
            return None
        first, second = (sibling(found, chosen, what).series for what in (above, below))
        return ratio(first, second, statistic)

    return measure


def _baseline(name: str, below: str, statistic: Statistic) -> Measure:
    """A baseline over a prediction of the best backend."""

    def measure(found: list[Row], batch: int) -> Ratio | None:
        chosen = best(found, batch, reference(found))
        baselines = [
            row for row in found if (row.what, row.batch, row.backend) == ("peer", batch, name)
        ]
        if chosen is None or not baselines:
            return None
        return ratio(baselines[0].series, sibling(found, chosen, below).series, statistic)

    return measure


def _eager(what: str) -> Measure:
    """Eager PyTorch over the best backend, each on the number of threads that suits it best."""

    def measure(found: list[Row], batch: int) -> Ratio | None:
        chosen = best(found, batch, reference(found))
        eager = best(found, batch, reference(found), EAGER)
        if chosen is None or eager is None:
            return None
        above, below = (sibling(found, each, what).series for each in (eager, chosen))
        return ratio(above, below)

    return measure


def _share(found: list[Row], batch: int) -> Ratio | None:
    """The share of the measured matrix peak."""
    chosen = best(found, batch, reference(found))
    if chosen is None:
        return None
    roof = peak(found, chosen)
    return ratio(roof.series, chosen.series).times(chosen.flops / roof.flops)


TARGETS: tuple[Target, ...] = (
    Target("all draws / one draw", 1, 6, True, _engines("draws", "draw", np.median)),
    Target(
        "sequential consensus / one draw, mean",
        1,
        2.5,
        True,
        _engines("consensus", "draw", np.mean),
    ),
    Target(
        "published 100-step diffusion / one draw",
        1,
        1000,
        False,
        _baseline("published-diffpure", "draw", np.median),
    ),
    Target(
        "published 100-step diffusion / consensus, mean",
        1,
        300,
        False,
        _baseline("published-diffpure", "consensus", np.mean),
    ),
    Target("eager PyTorch / best backend, one draw", 1, 2, False, _eager("draw")),
    Target("eager PyTorch / best backend, consensus", 1, 2, False, _eager("consensus")),
    Target("eager PyTorch / best backend, all draws", 1, 2, False, _eager("draws")),
    Target("share of the matrix peak, all draws", 64, 0.5, False, _share),
)
"""The bounds that the project set itself for two processor cores and the model ``lite``."""


def judge(record: Record) -> list[Judged]:
    """Every target with its measured ratio.

    Raises:
        RecordError: it is no bench record.
    """
    found = rows(record)
    return [Judged(target, target.measure(found, target.batch)) for target in TARGETS]


def as_json(judged: Judged) -> dict[str, Any]:
    """A judged target as JSON values."""
    target, measured = judged.target, judged.ratio
    return {
        "target": target.words,
        "batch": target.batch,
        "bound": target.bound,
        "at_most": target.at_most,
        "ratio": None if measured is None else vars(measured),
        "reached": judged.reached,
    }
