"""What a wide latent and a narrow one let pass, by what their trainings hold equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alp.errors import RecordError
from alp.records import CLEAN, KIND_POINTS, Measured, Record, choose_points, mean, measured
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import MARKS, TEXT, canvas, legend, styled
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def caption(records: Sequence[Record]) -> str:
    """Terms, and PSNR, sigma and accuracy of each purifier."""
    rows = "; ".join(
        f"{record.name}: {mean(clean.psnr).value:.1f} dB, sigma {clean.sigma or 0:.2f}, "
        + ", ".join(f"{100 * p.accuracy.value:.1f} % ({p.level})" for p in points)
        for record, points in _rows(records)
        for clean in choose_points(points, CLEAN)
    )
    return (
        "The two widths that the paper compares, trained to one PSNR, with one weight of the rate, "
        "and by the mean squared error alone: share of the attack's length that is left behind "
        "the purifier on one draw (lines: 95 % intervals of the mean). Small purifiers of a short "
        f"training before a classifier that nobody fine-tuned. {rows}. {terms(records)}"
    )


@FIGURES.register("bottleneck-free", order=21)
@drawing("What wide latents let pass without a constraint", KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """A row a purifier, a mark an attacker."""
    rows = _rows(records)
    figure, (axes,) = canvas(0.8 + 0.28 * len(rows))
    levels = [point.level for point in rows[0][1] if point.level != CLEAN]
    for number, level in enumerate(levels):
        colour, marker, _ = MARKS[level]
        passed = [mean(choose_points(points, level)[0].passed) for _, points in rows]
        places = np.arange(len(rows)) + 0.16 * (2 * number - 1)
        low, high, value = ([100 * getattr(e, k) for e in passed] for k in ("low", "high", "value"))
        axes.hlines(places, low, high, color=colour, linewidth=1.0)
        axes.plot(value, places, marker, color=colour, label=level)
    axes.set_yticks(range(len(rows)), [record.name for record, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=TEXT, alpha=0.12, linewidth=0.6)
    axes.set_xlabel("attack that passes (%)")
    legend(figure)
    return figure


def _rows(records: Sequence[Record]) -> list[tuple[Record, list[Measured]]]:
    """The records by what is held equal, the narrow one first."""
    found = []
    for record in some(records):
        points, extra = measured(record), record.header.get("extra", {})
        if not {"latent_channels", "objective"} <= set(extra):
            raise RecordError(
                f"the record {record.name!r} lacks latent_channels or objective in extra; run the "
                "experiment again"
            )
        found.append((record, points))
    by = [record.header["extra"]["objective"] for record, _ in found]
    order = {each: place for place, each in enumerate(dict.fromkeys(by))}
    return sorted(
        found,
        key=lambda row: (
            order[row[0].header["extra"]["objective"]],
            row[0].header["extra"]["latent_channels"],
        ),
    )
