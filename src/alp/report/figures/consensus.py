"""Accuracy by the number of draws that the deployed prediction averages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alp.records import CLEAN, KIND_POINTS, Record, choose_points, measured, require
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import MARKS, canvas, estimates, legend, percent_axis, styled
from alp.report.format import count, some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def caption(records: Sequence[Record]) -> str:
    """Terms, and the ends of the curves in numbers."""
    rows = _rising(records)
    ends = "; ".join(
        f"{count(row.header['draws'], 'draw')} {100 * share:.1f} %"
        for row in (rows[0], rows[-1])
        for share in [choose_points(measured(row), _levels(row)[-1])[0].accuracy.value]
    )
    return (
        f"{rows[0].name}: accuracy by the draws whose logits the prediction averages (bars: 95 % "
        f"Wilson intervals). Attacked, {_levels(rows[0])[-1]}: {ends}. {terms(records)}"
    )


@FIGURES.register("consensus", order=17)
@drawing("What the consensus is worth", KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """A line an attacker over the draws, with the intervals."""
    rows = _rising(records)
    figure, (axes,) = canvas(2.4)
    x = [float(row.header["draws"]) for row in rows]
    for level in _levels(rows[0]):
        shares = [choose_points(measured(row), level)[0].accuracy for row in rows]
        estimates(axes, x, shares, MARKS[level], level, 100, bars=True)
    percent_axis(axes)
    axes.set_xscale("log")
    axes.set_xticks(x, [f"{each:g}" for each in x])
    axes.minorticks_off()
    axes.set_xlabel("draws of the prediction")
    legend(figure)
    return figure


def _rising(records: Sequence[Record]) -> list[Record]:
    for record in some(records):
        require(record, KIND_POINTS)
    return sorted(records, key=lambda record: int(record.header["draws"]))


def _levels(record: Record) -> list[str]:
    levels = dict.fromkeys(point.level for point in measured(record))
    return sorted(levels, key=lambda level: level != CLEAN)
