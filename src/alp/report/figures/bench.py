"""A bench record as a picture: latency over the batch size, and the baselines."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from alp.files import write_atomically
from alp.records import Record
from alp.records.timings import Row, best, reference, rows, sibling
from alp.report.figures.speed import show_times

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito 2008: told apart by colour-blind readers.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_STYLES = {"draw": (":", "one draw"), "consensus": ("--", "consensus"), "draws": ("-", "all draws")}
_OWN = {"draw": "one draw", "consensus": "sequential consensus", "draws": "all draws"}


def write_plot(record: Record, path: Path) -> None:
    """Draw ``record`` to ``path`` (SVG or PDF by its suffix), atomically; from the record alone.

    Left: median milliseconds of a call over the batch size, a colour a backend on the largest
    number of threads. Right: one image, ours in the best backend beside the baselines, logarithmic.

    Raises:
        RecordError: it is no bench record.
    """
    import matplotlib
    from matplotlib.figure import Figure

    found = rows(record)
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "alp", "font.size": 9}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(9, 3.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        _latency(left, found)
        _baselines(right, found)
        figure.suptitle(f"{record.name}, {record.header['device']}", fontsize=9)
        kind = path.suffix.removeprefix(".")
        date = {"CreationDate": None} if kind == "pdf" else {"Date": None}
        write_atomically(
            path, lambda temporary: figure.savefig(temporary, format=kind, metadata=date)
        )


def _latency(axes: Axes, found: list[Row]) -> None:
    ours = [row for row in found if row.what in _STYLES]
    threads = max(row.threads for row in ours)
    engines = dict.fromkeys((row.backend, row.precision) for row in ours)
    for (backend, precision), colour in zip(engines, _COLOURS * len(engines), strict=False):
        for what, (line, words) in _STYLES.items():
            mine = [
                row
                for row in ours
                if (row.backend, row.precision, row.what, row.threads)
                == (backend, precision, what, threads)
            ]
            axes.plot(
                [row.batch for row in mine],
                [row.median for row in mine],
                line,
                color=colour,
                marker=".",
                label=f"{backend} {precision}, {words}",
            )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = sorted({row.batch for row in ours})
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("images a call")
    axes.set_ylabel(f"median ms a call, {threads} threads")
    axes.grid(alpha=0.2)
    axes.legend(fontsize=6)


def _baselines(axes: Axes, found: list[Row]) -> None:
    smallest = min(row.batch for row in found)
    chosen = best(found, smallest, reference(found))
    assert chosen is not None
    bars = {
        f"{words} ({chosen.backend})": sibling(found, chosen, what) for what, words in _OWN.items()
    }
    ours = list(bars)
    bars |= {row.backend: row for row in found if row.what == "peer"}
    times = {name: row.series.ms for name, row in bars.items()}
    show_times(axes, dict(sorted(times.items(), key=lambda each: np.median(each[1]))), ours)
    axes.set_xlabel(f"ms, {smallest} image" + "s" * (smallest > 1))
