"""The paper's robustness matrix as heat maps, one for each attacker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alp.records import CLEAN, KIND_POINTS, Measured, Record, choose_points, measured
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import SIZE, TEXT, canvas, styled, tidy
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_MIDDLE = 0.5
"""Where the colours turn from dark, under white letters, to light, under black ones."""


def caption(records: Sequence[Record]) -> str:
    """Terms, and each attacker's row of the largest eps in numbers."""
    record = some(records)[0]
    points = measured(record)
    eps = max(point.eps for point in points)
    rows = []
    for level in _levels(points):
        found = sorted(choose_points(points, level, eps=eps), key=_sigma)
        shares = ", ".join(
            f"{100 * p.accuracy.value:.1f} % at sigma {_sigma(p):g}" for p in found[:2]
        )
        rows.append(f"{level} {shares}")
    return (
        f"{record.name}: accuracy in per cent (below it its 95 % Wilson interval) over the "
        f"attack's radius and the noise level, for each attacker. At eps {eps:g}: "
        f"{'; '.join(rows)}. {terms(records)}"
    )


@FIGURES.register("zero-shot-sweep", order=2)
@FIGURES.register("sweep", order=2)
@drawing("Robustness over eps and sigma", KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """A matrix an attacker: accuracy at each eps and sigma, with its interval in each cell; all
    share one scale."""
    points = measured(some(records)[0])
    levels = _levels(points)
    figure, panels = canvas(0.55 + 1.05 * len(levels), rows=len(levels), sharex=True)
    top = max(point.accuracy.value for point in points if point.level != CLEAN)
    for axes, level in zip(panels, levels, strict=True):
        image = _matrix(axes, [p for p in points if p.level == level], max(top, 0.01))
        axes.set_title(f"attacker: {level}", loc="left", pad=3)
        axes.set_ylabel("eps")
    panels[-1].set_xlabel("sigma (latent units)")
    bar = figure.colorbar(image, ax=panels, shrink=0.6, aspect=30, label="accuracy (%)")
    tidy(bar.ax)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _levels(points: Sequence[Measured]) -> list[str]:
    return [level for level in dict.fromkeys(p.level for p in points) if level != CLEAN]


def _sigma(point: Measured) -> float:
    return point.sigma or 0.0


def _matrix(axes: Axes, points: Sequence[Measured], top: float) -> AxesImage:
    radii = sorted({point.eps for point in points})
    sigmas = sorted({_sigma(point) for point in points})
    values = np.full((len(radii), len(sigmas)), np.nan)
    for point in points:
        row, column = radii.index(point.eps), sigmas.index(_sigma(point))
        share = point.accuracy
        values[row, column] = 100 * share.value
        ink = "#000000" if share.value > _MIDDLE * top else "#ffffff"
        axes.text(
            column, row - 0.12, f"{100 * share.value:.1f}", color=ink, ha="center", va="center"
        )
        axes.text(
            column,
            row + 0.28,
            f"{100 * share.low:.0f}\u2013{100 * share.high:.0f}",
            color=ink,
            ha="center",
            va="center",
            fontsize=SIZE - 2.5,
        )
    image = axes.imshow(values, cmap="cividis", vmin=0, vmax=100 * top, aspect="auto")
    axes.set_xticks(range(len(sigmas)), [f"{sigma:g}" for sigma in sigmas])
    axes.set_yticks(range(len(radii)), [f"{eps:g}" for eps in radii])
    axes.tick_params(length=0, labelcolor=TEXT)
    axes.spines[:].set_visible(False)
    return image
