"""A bench record on the terminal: the engines, the peers, the targets, and what to choose."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.table import Table

from alp.bench.run import WHATS
from alp.cli.console import table
from alp.records import Record
from alp.records.statistics import Ratio, ratio
from alp.records.timings import EAGER, Judged, Row, best, judge, reference, rows, share, sibling
from alp.records.timings import as_json as target_json

CHOSEN_AT = (1, 64)
"""Batch sizes for which a backend is chosen, where they were timed."""

HEADINGS = (
    "batch",
    "backend",
    "precision",
    "threads",
    "one draw\nms (p99)",
    "all draws\nms (p99)",
    "consensus\nms (p99)",
    "consensus\nmean ms",
    "its\ndraws",
    "images/s:\none / all / consensus",
    "share of\nthe peak",
)


def timing_lines(record: Record) -> Iterator[str | Table]:
    """Everything, in words and tables."""
    header, found = record.header, rows(record)
    flops = header["flops"]
    height, width = header["size"]
    yield f"model      {record.name}, images of {width}x{height} on {header['device']}"
    yield (
        f"flops      {flops['encoder'] / 1e6:,.1f}M an image in the encoder, "
        f"{flops['draw'] / 1e6:,.1f}M a draw"
    )
    yield (
        f"timing     at each batch size all take turns in {header['rounds']} rounds; "
        f"{header['consensus']['draws']} draws, or as many as the decision takes"
    )
    if memory := header.get("memory"):
        each = ", ".join(f"{mib:,} MiB {words}" for words, mib in memory.items())
        yield f"memory     peak of the process: {each}"
    yield engine_table(found)
    if any(row.what == "peer" for row in found):
        yield peer_table(found)
    for judged in judge(record):
        yield target_line(judged)
    for row in choices(found):
        yield (
            f"chosen     batch {row.batch}, {row.precision}: {row.backend} on "
            f"{row.threads} threads (by the median of all draws)"
        )


def engine_table(found: list[Row]) -> Table:
    """One row an engine and batch size: medians, 99th percentiles, throughput, share of the
    peak."""
    cells: list[tuple[str, ...]] = [HEADINGS]
    for row in found:
        if row.what != "draws":
            continue
        one, decided = (sibling(found, row, what) for what in ("draw", "consensus"))
        cells.append(
            (
                str(row.batch),
                row.backend,
                row.precision,
                str(row.threads),
                *(f"{each.median:.2f} ({each.p99:.2f})" for each in (one, row, decided)),
                f"{decided.mean:.2f}",
                f"{decided.draws:.1f}",
                " / ".join(per_second(each.throughput) for each in (one, row, decided)),
                f"{100 * share(found, row):.0f} %",
            )
        )
    return table(cells, left=(1,))


def peer_table(found: list[Row]) -> Table:
    """One row a peer, and its time over ours: one draw of the best backend and of eager PyTorch,
    in which the peers run, and the consensus on average."""
    cells: list[tuple[str, ...]] = [
        ("peer", "batch", "ms (p99)", "calls", "/ one draw", "/ one draw, eager", "/ consensus")
    ]
    for row in found:
        if row.what == "peer":
            times = f"{row.median:.2f} ({row.p99:.2f})"
            ratios = map(_times, over_ours(found, row).values())
            cells.append((row.backend, str(row.batch), times, str(len(row.series.ms)), *ratios))
    return table(cells)


def over_ours(found: list[Row], peer: Row) -> dict[str, Ratio | None]:
    """A peer's time over ours."""
    chosen = best(found, peer.batch, reference(found))
    eager = best(found, peer.batch, reference(found), EAGER)
    assert chosen is not None
    draw = None if eager is None else sibling(found, eager, "draw")
    return {
        "draw": ratio(peer.series, sibling(found, chosen, "draw").series),
        "eager_draw": None if draw is None else ratio(peer.series, draw.series),
        "consensus": ratio(
            peer.series, sibling(found, chosen, "consensus").series, statistic=np.mean
        ),
    }


def target_line(judged: Judged) -> str:
    """A target in words: what, the bound, the measured ratio, and whether it keeps the bound."""
    target, measured = judged.target, judged.ratio
    words = f"target     {target.words}, batch {target.batch}: "
    words += f"{'at most' if target.at_most else 'at least'} {target.bound:g}"
    if measured is None:
        return f"{words}; not timed"
    verdict = "reached" if judged.reached else "MISSED"
    return f"{words}; measured {_times(measured)}: {verdict}"


def choices(found: list[Row]) -> list[Row]:
    """The best backend at each batch size of ``CHOSEN_AT`` that was timed, in each precision."""
    precisions = dict.fromkeys(row.precision for row in found if row.what == "draws")
    rows_ = [best(found, batch, precision) for batch in CHOSEN_AT for precision in precisions]
    return [row for row in rows_ if row is not None]


def timings_json(record: Record) -> dict[str, Any]:
    """The same as JSON values."""
    found = rows(record)
    return {
        "name": record.name,
        "device": record.header["device"],
        "flops": record.header["flops"],
        "memory_mib": record.header.get("memory"),
        "timings": [_row_json(found, row) for row in found],
        "peers": {
            row.backend: {
                key: None if each is None else vars(each)
                for key, each in over_ours(found, row).items()
            }
            for row in found
            if row.what == "peer"
        },
        "targets": [target_json(judged) for judged in judge(record)],
        "chosen": [
            {name: getattr(row, name) for name in ("batch", "precision", "backend", "threads")}
            for row in choices(found)
        ],
        "warnings": record.header["warnings"],
    }


def _row_json(found: list[Row], row: Row) -> dict[str, Any]:
    own = ("batch", "what", "backend", "precision", "threads")
    return {name: getattr(row, name) for name in own} | {
        "calls": len(row.series.ms),
        "median_ms": row.median,
        "p99_ms": row.p99,
        "mean_ms": row.mean,
        "images_per_second": row.throughput,
        "draws": None if math.isnan(row.draws) else row.draws,
        "peak_share": share(found, row) if row.what in WHATS else None,
    }


def _times(measured: Ratio | None) -> str:
    if measured is None:
        return "\u2013"
    return f"{measured.value:,.3g} ({measured.low:,.3g}\u2013{measured.high:,.3g})"


def per_second(images: float) -> str:
    """Images a second in a table; a slow model has less than one."""
    return f"{images:,.0f}" if images >= 10 else f"{images:.2g}"
