"""What a page says first, to somebody who knows neither the claims nor the records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alp.report.drawing import element
from alp.report.figures.style import (
    GREEN,
    ORANGE,
    PINK,
    RED,
    TEXT,
    canvas,
    legend,
    name_rows,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOOKS = ((TEXT, "D"), (PINK, "v"), (GREEN, "^"), (RED, "o"), (ORANGE, "s"))
"""Colour and marker of each series, the published values first."""


@dataclass(frozen=True)
class Mark:
    """A share of images that are classified correctly, in per cent."""

    value: float
    """The share."""
    low: float | None = None
    """Lower end of its 95 % interval; None for a published value, which has none."""
    high: float | None = None
    """Upper end."""


@dataclass(frozen=True)
class Overview:
    """What was claimed, what is true, and why they differ."""

    claimed: tuple[str, ...]
    """Sentences on what was claimed."""
    true: tuple[str, ...]
    """Sentences on what was measured."""
    why: tuple[str, ...]
    """Sentences on why they differ."""
    chart: Mapping[str, Mapping[str, Mark]]
    """Defence to series (the published value, then attackers) to its mark."""
    caption: str
    """What the chart shows, and on how many images."""
    title: str
    """What the chart says, in a few words."""


def overview_part(overview: Overview) -> dict[str, Any]:
    """The overview as the template sees it."""
    return {
        "columns": [
            {"heading": "What was claimed", "sentences": overview.claimed},
            {"heading": "What is true", "sentences": overview.true},
            {"heading": "Why they differ", "sentences": overview.why},
        ],
        "title": overview.title,
        "svg": element(draw(overview), overview.title),
        "caption": overview.caption,
    }


@styled
def draw(overview: Overview) -> Figure:
    """A row a defence, a mark a series, with its interval."""
    names = list(overview.chart)
    # The longest row has the order of the series.
    ordered = sorted(overview.chart.values(), key=len, reverse=True)
    series = list(dict.fromkeys(each for marks in ordered for each in marks))
    step = 0.7 / max(1, len(series))
    figure, (axes,) = canvas(0.75 + 0.5 * len(names))
    for number, one in enumerate(series):
        colour, marker = _LOOKS[number % len(_LOOKS)]
        inside = colour if number else "none"
        for row, name in enumerate(names):
            mark = overview.chart[name].get(one)
            if mark is None:
                continue
            place = row - 0.35 + step * (number + 0.5)
            if mark.low is not None and mark.high is not None:
                axes.plot([mark.low, mark.high], [place, place], color=colour, clip_on=False)
            axes.plot(
                mark.value, place, marker, color=colour, markerfacecolor=inside, clip_on=False
            )
            axes.annotate(
                f"{mark.value:.1f}",
                (max(mark.value, mark.high or 0), place),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize="x-small",
            )
        axes.plot([], [], marker, color=colour, markerfacecolor=inside, label=one)
    name_rows(axes, names, "images classified correctly under attack (%)")
    legend(figure, 2)
    return figure
