"""The bars of a section as inline SVG."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from alp.report.sections import Published, Section
from alp.report.table import Column, accuracy, columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito 2008, in an order that keeps neighbours apart: told apart by colour-blind readers,
# and of a middle lightness that stands out on white and on black.
_COLOURS = ("#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#0072b2")
# Stands in for the page's text colour, which Matplotlib cannot name; no other part has it.
_TEXT = "#010203"
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
    return _inline(buffer.getvalue())


def _frame(axes: Axes, lines: float) -> None:
    axes.set_xlim(0, 100)
    axes.set_ylim(lines, 0)
    axes.set_yticks([])
    axes.set_xticks(range(0, 101, 25), [f"{tick} %" for tick in range(0, 101, 25)])
    axes.tick_params(colors=_TEXT, length=0)
    axes.grid(axis="x", color=_TEXT, alpha=0.12, linewidth=0.8)
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
    axes.text(-0.28, top, name, transform=across, va="center", color=_TEXT, weight="bold")
    for number, column in enumerate(shown):
        place = top + 1 + number
        axes.text(
            -0.03, place, column.heading, transform=across, ha="right", va="center", color=_TEXT
        )
        share = accuracy(row, column.key)
        if share is not None:
            neutral = column.key in ("clean", "worst")
            colour = _TEXT if neutral else _COLOURS[(number - 1) % len(_COLOURS)]
            _bar(axes, place, share, colour, 0.35 if column.key == "clean" else 0.9)
        if column.key in claims:
            axes.plot(
                100 * claims[column.key],
                place,
                "D",
                color="none",
                markeredgecolor=_TEXT,
                markersize=5,
                clip_on=False,
            )


def _bar(axes: Axes, place: float, share: Mapping[str, float], colour: str, alpha: float) -> None:
    value, low, high = (100 * share[key] for key in ("value", "low", "high"))
    axes.barh(place, value, height=0.72, color=colour, alpha=alpha, linewidth=0)
    axes.plot([low, high], [place, place], color=_TEXT, linewidth=1.2, clip_on=False)
    axes.text(high + 2.5, place, f"{value:.1f}", va="center", color=_TEXT)


def _inline(svg: str) -> str:
    """The element alone, as wide as its place, in the page's text colour and font.

    The patterns begin with the ``<`` of a tag, which the text of a name cannot hold.
    """
    element = svg[svg.index("<svg") :]
    element = element.replace("<svg", '<svg role="img" aria-label="The accuracies as bars"', 1)
    element = re.sub(r' (width|height)="[\d.]+pt"', "", element, count=2)
    element = re.sub(r"\s*<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r'(<text style="[^"]*?)font-family: [^;"]*; ', r"\1", element)
    return element.replace(_TEXT, "currentColor")
