"""Accuracy against the number of questions that an attacker may ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alp.errors import RecordError
from alp.records import KIND_QUERIES, Estimate, Record, conclude
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import PALETTE, canvas, estimates, legend, percent_axis, styled
from alp.report.format import some, threat_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = "osv^DP"

_LINES = ("-", "--", ":")

_TICKS = 6
"""More of them run into each other."""

_SAME = ("data_digest", "threat")


def caption(records: Sequence[Record]) -> str:
    """Terms, and what is left in the end."""
    first = some(records)[0].header
    told = []
    for record in records:
        last = conclude(record)["curve"][-1]
        told.append(
            f"{record.name} keeps {100 * last['value']:.1f} % ({100 * last['low']:.1f} to "
            f"{100 * last['high']:.1f}) after {last['queries']:,}"
        )
    return (
        "Accuracy over the answers that an attacker without gradients pays for an image "
        f"({threat_words(first['threat'])}, {first['images']:,} images of "
        f"{first['data']['name']}): at each number the attacker and the answers averaged that "
        "leave least; bands: 95 % intervals. "
        f"{'; '.join(told)}. Seed {first['seed']}."
    )


@FIGURES.register("queries", order=14)
@drawing("Accuracy against the number of queries", KIND_QUERIES, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """A line a model over queries, on a logarithmic axis whose left end is no query at all.

    Raises:
        RecordError: the records are of other images or threats.
    """
    first = some(records)[0]
    for record in records[1:]:
        for key in _SAME:
            if record.header[key] != first.header[key]:
                raise RecordError(
                    f"the records {first.name!r} and {record.name!r} differ in {key}; put them "
                    "into folders of their own"
                )
    figure, (axes,) = canvas(2.9)
    ticks: dict[int, None] = {}
    for number, record in enumerate(records):
        curve = conclude(record)["curve"]
        ticks |= dict.fromkeys(row["queries"] for row in curve)
        place, again = number % len(PALETTE), number // len(PALETTE) % len(_LINES)
        mark = (PALETTE[place], _MARKERS[place], _LINES[again])
        left = [Estimate(row["value"], row["low"], row["high"]) for row in curve]
        estimates(axes, [row["queries"] for row in curve], left, mark, record.name, 100)
    percent_axis(axes)
    axes.set_xscale("symlog", linthresh=10, linscale=0.5)
    shown = sorted(ticks) if len(ticks) <= _TICKS else [n for n in sorted(ticks) if _is_round(n)]
    axes.set_xticks(shown, [f"{mark:,}" for mark in shown])
    axes.set_xlim(left=0)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("queries an image")
    legend(figure, 2)
    return figure


def _is_round(number: int) -> bool:
    """Whether it is none, or a power of ten."""
    return number == 0 or str(number).strip("0") == "1"
