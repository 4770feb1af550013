"""Accuracy against the radius of the attack, for each attacker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alp.records import CLEAN, KIND_POINTS, Measured, Record, choose_points, measured
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import BLUE, MARKS, canvas, estimates, legend, percent_axis, styled
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def caption(records: Sequence[Record]) -> str:
    """Terms, and what is left at the largest radius."""
    names, least = [], []
    for record in some(records):
        points = measured(record)
        names.append(record.name)
        shares = {level: _rising(points, level)[-1] for level in _levels(points)}
        lowest = min(shares.values(), key=lambda point: point.accuracy.value)
        least.append(
            f"{record.name} keeps {100 * lowest.accuracy.value:.1f} % at "
            f"\u03b5 = {255 * lowest.eps:.0f}/255 against its strongest attacker"
        )
    return (
        f"Accuracy of {' and '.join(names)} against the radius of the attack, for each level of "
        f"attacker knowledge; bars: 95 % Wilson intervals. {'; '.join(least)}. {terms(records)}"
    )


@FIGURES.register("robustness-curve", order=7)
@drawing("Accuracy against the radius", KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """A line an attacker, from the clean accuracy on, with the intervals; a model
    without a purifier, for which all attackers are one, is a line of its own."""
    figure, (axes,) = canvas(2.9)
    for record in some(records):
        points = measured(record)
        for level in _levels(points):
            curve = _rising(points, level)
            alone = record.header["sigma"] is None
            estimates(
                axes,
                [255 * point.eps for point in curve],
                [point.accuracy for point in curve],
                (BLUE, "x", "--") if alone else MARKS[level],
                f"{record.name}, no purifier" if alone else level,
                100,
                bars=True,
            )
    percent_axis(axes)
    axes.set_xlim(left=0)
    axes.set_xlabel("eps (1/255)")
    legend(figure)
    return figure


def _levels(points: Sequence[Measured]) -> list[str]:
    return [level for level in dict.fromkeys(p.level for p in points) if level != CLEAN]


def _rising(points: Sequence[Measured], level: str) -> list[Measured]:
    """The points of a level from the clean one on."""
    attacked = sorted(choose_points(points, level), key=lambda point: point.eps)
    return [choose_points(points, CLEAN)[0], *attacked]
