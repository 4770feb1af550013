"""What a prediction costs beside purifiers by diffusion and other baselines, timed in one run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.records import KIND_BENCH, Record
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import BLUE, ORANGE, TEXT, canvas, styled
from alp.report.format import count, some

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OURS = {"draw": "our one draw", "draws": "all our draws"}
_SLOWEST = "diffpure"
"""The peer that the paper compares itself with."""


def caption(records: Sequence[Record]) -> str:
    """What was timed, and how many times longer diffusion takes."""
    record = some(records)[0]
    times, header = _times(record), record.header
    ratios = [
        f"{np.median(times[_SLOWEST]) / np.median(times[ours]):,.0f} times as long as {ours}"
        for ours in _OURS.values()
        if _SLOWEST in times and ours in times
    ]
    beside = f" {_SLOWEST} takes {' and '.join(ratios)}." if ratios else ""
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
