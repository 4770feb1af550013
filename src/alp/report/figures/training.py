"""How trainings went: every scalar over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alp.records import Record
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import SIZE, SKY, TEXT, canvas, styled
from alp.report.format import some
from alp.report.trainings import KIND_CURVES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 2

_ROW = 1.3
"""Inches of a row of panels."""

_FIRST = ("loss", "accuracy")
"""Scalars that stand before the others."""


def caption(records: Sequence[Record]) -> str:
    """What was trained, on what, for how long, and where the curves end."""
    told = []
    for record in some(records):
        header = record.header
        ends = ", ".join(f"{name} {record.columns[name][-1]:.4g}" for name in _scalars(record))
        told.append(
            f"{header['name']} on {header['data']}, {header['steps']:,} steps in "
            f"{header['seconds']:,.0f} s ({header['precision']}, {header['device']}), seed "
            f"{header['seed']}. At the end: {ends}"
        )
    return f"Means over stretches of steps, on training images. {'. '.join(told)}."


@FIGURES.register("training", order=15)
@drawing("How the training went", KIND_CURVES, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """A panel a scalar."""
    record = some(records)[0]
    names = _scalars(record)
    rows = -(-len(names) // _COLUMNS)
    figure, panels = canvas(_ROW * rows + 0.2, rows, _COLUMNS, sharex=True)
    for name, axes in zip(names, panels, strict=False):
        axes.plot(record.columns["step"], record.columns[name], color=SKY)
        axes.set_title(name.replace("_", " "))
        axes.grid(axis="y", color=TEXT, alpha=0.12, linewidth=0.6)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[max(0, len(names) - _COLUMNS) : len(names)]:
        axes.xaxis.set_tick_params(labelbottom=True)
    figure.supxlabel("step", fontsize=SIZE, color=TEXT)
    return figure


def _scalars(record: Record) -> list[str]:
    first = [name for name in _FIRST if name in record.columns]
    return first + [name for name in record.columns if name not in ("step", *first)]
