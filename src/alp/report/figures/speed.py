"""What a prediction costs: in every backend over the batch size, and beside purifiers by diffusion
and other baselines, timed in one run."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.files import write_atomically
from alp.records import KIND_BENCH, Record
from alp.records.timings import Row, best, reference, rows, sibling
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import BLUE, ORANGE, TEXT, canvas, styled
from alp.report.format import count, some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_OURS = {"draw": "our one draw", "draws": "all our draws"}
_CHAINS = ("published-diffpure", "diffpure")
"""What the paper compares itself with: the published network, and the one trained here."""


def caption(records: Sequence[Record]) -> str:
    """What was timed, and how many times longer diffusion takes."""
    record = some(records)[0]
    times, header = _times(record), record.header
    ratios = {
        chain: [
            f"{np.median(times[chain]) / np.median(times[ours]):,.0f} times as long as {ours}"
            for ours in _OURS.values()
            if chain in times and ours in times
        ]
        for chain in _CHAINS
    }
    beside = "".join(
        f" {chain} takes {' and '.join(each)}." for chain, each in ratios.items() if each
    )
    return (
        f"Latency of {record.name} in its fastest backend and of its peers, {header['rounds']} "
        f"rounds by turns in one run (marks: medians; lines: 10th to 90th percentile).{beside} "
        f"Batch of {count(_batch(record), 'image')}; {header['device']}; seed {header['seed']}."
    )


@FIGURES.register("speed", order=11)
@drawing("What a prediction costs, beside its peers", KIND_BENCH, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Milliseconds of a call at the smallest batch size, on a logarithmic scale: the median, and
    the line from the 10th to the 90th percentile; of our backends the fastest."""
    times = _times(some(records)[0])
    figure, (axes,) = canvas(0.7 + 0.26 * len(times))
    show_times(axes, times, _OURS.values())
    axes.set_xlabel(f"time of a call with {count(_batch(records[0]), 'image')} (ms)")
    return figure


def show_times(
    axes: Axes, times: Mapping[str, NDArray[np.floating[Any]]], ours: Collection[str]
) -> None:
    """A row for each of ``times``, name to milliseconds of the calls, on a logarithmic scale: the
    median, and the line from the 10th to the 90th percentile; ``ours`` in a colour of their own."""
    for place, (name, ms) in enumerate(times.items()):
        low, median, high = np.percentile(ms, (10, 50, 90))
        colour, marker = (BLUE, "o") if name in ours else (ORANGE, "s")
        axes.hlines(place, low, high, color=colour, linewidth=1.2)
        axes.plot(median, place, marker, color=colour)
        words = f"{median:,.0f} ms" if median >= 100 else f"{median:.3g} ms"
        axes.annotate(words, (high, place), (5, 0), textcoords="offset points", va="center")
    axes.set_xscale("log")
    axes.margins(x=0.25)
    axes.set_yticks(range(len(times)), list(times))
    axes.set_ylim(len(times) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=TEXT, alpha=0.12, linewidth=0.6)


def _batch(record: Record) -> int:
    return int(record.columns["batch"].min())


def _times(record: Record) -> dict[str, NDArray[Any]]:
    """Name to milliseconds a call at the smallest batch size, the fastest first."""
    needed = {"batch", "contestant", "ms"}
    if record.kind != KIND_BENCH or not needed <= set(record.columns):
        raise RecordError(
            f"the record {record.name!r} of the kind {record.kind!r} is no benchmark; give one of "
            "'alp bench'"
        )
    columns = record.columns
    found: dict[str, NDArray[Any]] = {}
    for name, about in record.header["contestants"].items():
        mine = (columns["batch"] == _batch(record)) & (columns["contestant"] == name)
        label = _OURS.get(about["what"], about.get("peer"))
        if label and mine.any():
            ms = columns["ms"][mine]
            if label not in found or np.median(ms) < np.median(found[label]):
                found[label] = ms
    if not found:
        raise RecordError(f"the record {record.name!r} has no timing to draw; run it again")
    return dict(sorted(found.items(), key=lambda each: float(np.median(each[1]))))


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
