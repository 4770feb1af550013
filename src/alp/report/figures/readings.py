"""What each reading of the paper gives, beside the paper's numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from alp.errors import RecordError
from alp.records import KIND_POINTS, Measured, Record, measured, require
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import GREEN, SIZE, TEXT, canvas, styled
from alp.report.format import count, some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class _Column(NamedTuple):
    heading: str
    form: str
    value: Callable[[Record, Sequence[Measured]], float]
    paper: str = ""


def _share(place: int) -> Callable[[Record, Sequence[Measured]], float]:
    return lambda record, points: 100 * points[place].accuracy.value


_COLUMNS = (
    _Column("PSNR", "{:.1f}", lambda r, p: float(np.mean(p[0].psnr)), "psnr"),
    _Column("sigma", "{:.3f}", lambda r, p: float(r.header["sigma"]), "sigma"),
    _Column("scale", "{:.2f}", lambda r, p: float(r.header["extra"]["latent_rms"])),
    _Column("clean", "{:.0f}", _share(0)),
    _Column("alone", "{:.1f}", _share(1), "single"),
    _Column("both", "{:.1f}", _share(2), "single"),
    _Column("both,\nsmall", "{:.1f}", _share(3), "single"),
    _Column("PSNR\nset", "{:.1f}", lambda r, p: float(np.mean(p[4].psnr)), "psnr"),
    _Column("both\nset", "{:.1f}", _share(5), "single"),
)
"""The points of a record in the order of the experiment."""


def caption(records: Sequence[Record]) -> str:
    """What the columns are, what each reading meets, and terms."""
    met = {record.name: _met(record) for record in some(records)}
    every = [name for name, columns in met.items() if {"psnr", "sigma", "single"} <= columns]
    words = f"{', '.join(every)} gives" if every else "No reading gives"
    return (
        "Purifiers under each reading of the paper, before a classifier that nobody fine-tuned, "
        "all of one small size and one short training. PSNR in dB, learned sigma, root mean square "
        "of the latent, accuracies in per cent: clean, attacked on the classifier alone, on both, "
        "on both by a quarter of the radius (units of normalised images); then PSNR and accuracy "
        "attacked on both with sigma set to the paper's. Green: no farther from the paper's "
        "number than its claim allows; where sigma was fixed, and where the rate is least at a "
        f"given PSNR, that agrees by construction. {words} all three of the paper's PSNR, sigma "
        "and robust accuracy; "
        f"{count(sum(map(bool, met.values())), 'reading')} of {len(met)} one or more. "
        f"{terms(records)}"
    )


@FIGURES.register("readings", order=18)
@drawing("Under which reading the paper is right", KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """A table: a row a reading, the paper's numbers in the first."""
    rows = some(records)
    figure, (axes,) = canvas(0.6 + 0.17 * len(rows))
    axes.set_xlim(-4.6, len(_COLUMNS) - 0.5)
    axes.set_ylim(len(rows) + 0.5, -1.6)
    axes.set_axis_off()
    axes.set_title("The paper's numbers, and those of each reading", loc="left")
    paper = _paper(rows[0])
    small: dict[str, Any] = {"fontsize": SIZE - 2, "va": "center", "color": TEXT}
    axes.text(-4.6, 0, "the paper", **small)
    for place, column in enumerate(_COLUMNS):
        axes.text(place, -1, column.heading, ha="center", **small)
        if column.paper:
            axes.text(place, 0, column.form.format(paper[column.paper][0]), ha="center", **small)
    axes.axhline(0.5, color=TEXT, linewidth=0.5)
    for row, record in enumerate(rows, start=1):
        points = measured(record)
        axes.text(-4.6, row, record.name, **small)
        for place, column in enumerate(_COLUMNS):
            value = column.value(record, points)
            if _equal(paper, column, value):
                sides = [place - 0.5, place + 0.5]
                axes.fill_between(sides, row - 0.45, row + 0.45, color=GREEN, alpha=0.3, lw=0)
            axes.text(place, row, column.form.format(value), ha="center", **small)
    return figure


def _met(record: Record) -> set[str]:
    """Which of the paper's numbers it gives under any of its columns."""
    paper, points = _paper(record), measured(record)
    return {
        column.paper for column in _COLUMNS if _equal(paper, column, column.value(record, points))
    }


def _equal(paper: dict[str, list[float]], column: _Column, value: float) -> bool:
    if not column.paper:
        return False
    published, tolerance = paper[column.paper]
    return abs(value - published) <= tolerance


def _paper(record: Record) -> dict[str, list[float]]:
    require(record, KIND_POINTS)
    extra = record.header.get("extra", {})
    if not {"paper", "latent_rms"} <= set(extra) or len(measured(record)) != 6:
        raise RecordError(
            f"the record {record.name!r} lacks paper or latent_rms in extra, or a point; "
            "run the experiment again"
        )
    paper: dict[str, list[float]] = extra["paper"]
    return paper
