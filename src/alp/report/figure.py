"""The bars of a section as inline SVG."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from alp.report.figures.style import TEXT
from alp.report.sections import Published, Section
from alp.report.svg import inline
from alp.report.table import Column, accuracy, columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito 2008, in an order that keeps neighbours apart: told apart by colour-blind readers,
# and of a middle lightness that stands out on white and on black.
_COLOURS = ("#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#0072b2")
_WIDTH, _LINE, _FOOT = 4.6, 0.2, 0.3  # inches; narrow, so that it is legible on a phone
_LONGEST = 40  # letters of a name that fit the width
_GAP = 1.6  # lines between two defences, the name of the next one included


def bars(section: Section, published: Published) -> str:
    """An ``<svg>`` element: for each defence a bar for each accuracy, with its interval, and a
    diamond at the published value. Text and axes take the colour of the surrounding text."""
    import matplotlib
    from matplotlib.figure import Figure

    shown = [column for column in columns(section) if column.key == "clean" or column.group]
    lines = len(section.rows) * (len(shown) + _GAP)
    height = _LINE * lines + _FOOT
    style: dict[Any, Any] = {
        "font.size": 10,
        "svg.fonttype": "none",
        "svg.hashsalt": "alp",
        "text.parse_math": False,
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # The reader's fonts draw the text; which letters Matplotlib's own has is no matter.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(_WIDTH, height))
        axes = figure.add_axes((0.2, _FOOT / height, 0.68, 1 - _FOOT / height))
        _frame(axes, lines)
        for number, row in enumerate(section.rows):
            top = number * (len(shown) + _GAP) + _GAP / 2
            _defence(axes, top, row, shown, published.get(row["name"], {}))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return inline(buffer.getvalue(), "The accuracies as bars")


def _frame(axes: Axes, lines: float) -> None:
    axes.set_xlim(0, 100)
    axes.set_ylim(lines, 0)
    axes.set_yticks([])
    axes.set_xticks(range(0, 101, 25), [f"{tick} %" for tick in range(0, 101, 25)])
    axes.tick_params(colors=TEXT, length=0)
    axes.grid(axis="x", color=TEXT, alpha=0.12, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _defence(
    axes: Axes,
    top: float,
    row: Mapping[str, Any],
    shown: list[Column],
    claims: Mapping[str, float],
) -> None:
    """The name of a defence and below it its bars, a line each."""
    across = axes.get_yaxis_transform()
    name = row["name"] if len(row["name"]) <= _LONGEST else row["name"][: _LONGEST - 1] + "…"
    axes.text(-0.28, top, name, transform=across, va="center", color=TEXT, weight="bold")
    for number, column in enumerate(shown):
        place = top + 1 + number
        axes.text(
            -0.03, place, column.heading, transform=across, ha="right", va="center", color=TEXT
        )
        share = accuracy(row, column.key)
        if share is not None:
            neutral = column.key in ("clean", "worst")
            colour = TEXT if neutral else _COLOURS[(number - 1) % len(_COLOURS)]
            _bar(axes, place, share, colour, 0.35 if column.key == "clean" else 0.9)
        if column.key in claims:
            axes.plot(
                100 * claims[column.key],
                place,
                "D",
                color="none",
                markeredgecolor=TEXT,
                markersize=5,
                clip_on=False,
            )


def _bar(axes: Axes, place: float, share: Mapping[str, float], colour: str, alpha: float) -> None:
    value, low, high = (100 * share[key] for key in ("value", "low", "high"))
    axes.barh(place, value, height=0.72, color=colour, alpha=alpha, linewidth=0)
    axes.plot([low, high], [place, place], color=TEXT, linewidth=1.2, clip_on=False)
    axes.text(high + 2.5, place, f"{value:.1f}", va="center", color=TEXT)
