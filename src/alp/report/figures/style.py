"""How all figures look: one column wide, colours for everyone, ink for data only.

Figures as elements of the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from alp.records import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axes._base import _AxesBase
    from matplotlib.figure import Figure


TEXT = "#010203"
"""Stands in for the page's text colour, which Matplotlib cannot name; no other part has it."""

WIDTH = 3.5
"""Inches of a column of print."""

SIZE = 8.0
"""Points of the letters."""

# Okabe and Ito 2008: told apart by colour-blind readers, and on white as on black.
BLUE, ORANGE, GREEN, RED, PINK, SKY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
)
PALETTE = (SKY, RED, GREEN, PINK, ORANGE, BLUE)
"""In an order that keeps neighbours apart."""

Mark = tuple[str, str, str]
"""Colour, marker and line: three ways to tell lines apart."""

MARKS: dict[str, Mark] = {
    "clean": (TEXT, "o", "-"),
    "oblivious": (SKY, "s", "--"),
    "masked": (PINK, "v", ":"),
    "single": (GREEN, "^", "-"),
    "bpda": (ORANGE, "D", "-."),
    "eot": (RED, "P", "-"),
}
"""What the attacker knows to its line."""

_STYLE: dict[Any, Any] = {
    "font.size": SIZE,
    "axes.titlesize": SIZE,
    "axes.labelsize": SIZE,
    "legend.fontsize": SIZE - 0.5,
    "text.color": TEXT,
    "text.parse_math": False,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": TEXT,
    "axes.titlecolor": TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "legend.labelcolor": TEXT,
    "image.interpolation": "nearest",
    "svg.hashsalt": "alp",
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """``draw`` in the house style, whatever the reader's own is."""

    @wraps(draw)
    def within(*args: P.args, **kwargs: P.kwargs) -> Figure:
        import matplotlib

        # All but the backend, which a context would not put back.
        plain = {k: v for k, v in matplotlib.rcParamsDefault.items() if "backend" not in k}
        with matplotlib.rc_context(plain | _STYLE):
            return draw(*args, **kwargs)

    return within


def canvas(
    height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of one column's width and ``height`` inches, and its axes row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, [tidy(axes) for axes in places.flat]


A = TypeVar("A", bound="_AxesBase")


def tidy(axes: A) -> A:
    """Ticks as the letters around them: some are only made when the figure is saved, when the
    house style is no longer there."""
    axes.tick_params(
        which="both", colors=TEXT, labelcolor=TEXT, labelsize=SIZE - 0.5, width=0.6, length=2.5
    )
    return axes


def percent_axis(axes: Axes, label: str = "accuracy (%)", top: float = 100) -> None:
    """A vertical axis of accuracies in per cent, from 0."""
    axes.set_ylim(0, top)
    axes.set_ylabel(label)
    axes.grid(axis="y", color=TEXT, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)


def line(
    axes: Axes,
    x: Sequence[float],
    value: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    mark: Mark,
    label: str,
    bars: bool = False,
) -> None:
    """A line with markers and, behind it, the band from ``low`` to ``high``; bars where many lines
    would cover each other's bands."""
    colour, marker, dashes = mark
    if bars:
        axes.vlines(x, low, high, color=colour, linewidth=0.8)
    else:
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, value, dashes, color=colour, marker=marker, label=label)


def estimates(
    axes: Axes,
    x: Sequence[float],
    shown: Sequence[Estimate],
    mark: Mark,
    label: str,
    scale: float = 1.0,
    bars: bool = False,
) -> None:
    """A line of estimates, times ``scale``, with the band, or the bars, of their intervals."""
    value, low, high = ([scale * getattr(e, k) for e in shown] for k in ("value", "low", "high"))
    line(axes, x, value, low, high, mark, label, bars)


def name_rows(axes: Axes, names: Sequence[str], label: str) -> None:
    """Name the rows of a figure of percentages, the first at the top, with lines between them."""
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color=TEXT, alpha=0.12, linewidth=0.6)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel(label)
    axes.tick_params(axis="y", length=0)


def legend(figure: Figure, columns: int = 3, handles: Sequence[Any] | None = None) -> None:
    """The legend above all axes, where it hides no data; by default of what the first axes show."""
    figure.legend(
        handles=figure.axes[0].get_legend_handles_labels()[0] if handles is None else handles,
        loc="outside upper center",
        ncols=columns,
        borderaxespad=0.2,
        columnspacing=1.2,
        labelcolor=TEXT,
    )


def inline(svg: str, label: str) -> str:
    """The ``<svg>`` element of a file that Matplotlib wrote, named ``label`` for who cannot see it:
    as wide as its place, in the page's text colour and font.

    The patterns begin with the ``<`` of a tag, which the text of a name cannot hold.
    """
    element = svg[svg.index("<svg") :]
    element = element.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
    element = re.sub(r' (width|height)="[\d.]+pt"', "", element, count=2)
    element = re.sub(r"\s*<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r'(<text style="[^"]*?)font-family: [^;"]*; ', r"\1", element)
    return element.replace(TEXT, "currentColor")
