"""The paper's figure 3: accuracy and picture quality as the noise grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alp.records import CLEAN, KIND_POINTS, Measured, Record, choose_points, measured
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import (
    BLUE,
    MARKS,
    TEXT,
    canvas,
    estimates,
    legend,
    percent_axis,
    styled,
    tidy,
)
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = "single"
"""The attacker whose optimum is marked: the paper's."""

_SPREAD = (0.1, 0.9)
"""Between which shares of the images the band of PSNR reaches."""


def caption(records: Sequence[Record]) -> str:
    """Terms, and the optimum in numbers."""
    record = some(records)[0]
    best = optimum(record)
    share = best.accuracy
    return (
        f"{record.name}: accuracy (lines; bands: 95 % Wilson intervals) and PSNR of a purified "
        "clean image (dashed; band: from the first to the ninth tenth of the images) over the "
        f"noise level. Star: the optimum under the attacker {LEVEL}, sigma {_sigma(best):g} with "
        f"{100 * share.value:.1f} % ({100 * share.low:.1f}\u2013{100 * share.high:.1f}). "
        f"{terms(records)}"
    )


@FIGURES.register("zero-shot-tradeoff", order=3)
@FIGURES.register("tradeoff", order=3)
@drawing("Accuracy and picture quality over sigma", KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Accuracy, clean and attacked, with its intervals over the absolute sigma (the upper axis has
    the same over the learned one), PSNR on an axis of its own, and the optimum under attack."""
    record = some(records)[0]
    points = measured(record)
    figure, (axes,) = canvas(2.9)
    for level in dict.fromkeys(point.level for point in points):
        chosen = _rising(choose_points(points, level))
        estimates(
            axes,
            [_sigma(point) for point in chosen],
            [point.accuracy for point in chosen],
            MARKS[level],
            "clean" if level == CLEAN else f"attacked, {level}",
            100,
        )
    best = optimum(record)
    axes.plot(_sigma(best), 100 * best.accuracy.value, "*", color=TEXT, markersize=9, zorder=4)
    percent_axis(axes)
    axes.set_xlabel("sigma (latent units)")
    quality = tidy(axes.twinx())
    quality.spines["right"].set_visible(True)
    clean = _rising(choose_points(points, CLEAN))
    noise = [_sigma(point) for point in clean]
    low, high = ([float(np.quantile(point.psnr, share)) for point in clean] for share in _SPREAD)
    quality.fill_between(noise, low, high, color=BLUE, alpha=0.12, linewidth=0)
    quality.plot(
        noise,
        [float(np.mean(point.psnr)) for point in clean],
        "--",
        color=BLUE,
        label="PSNR (right axis)",
    )
    quality.set_ylabel("PSNR (dB)")
    learned = record.header["sigma"]
    beside = axes.secondary_xaxis(
        "top", functions=(lambda at: at / learned, lambda at: at * learned)
    )
    tidy(beside)
    beside.set_xlabel(f"sigma / learned sigma ({learned:.2f})")
    handles = [*axes.get_lines()[:-1], *quality.get_lines()]
    legend(figure, 2, handles)
    return figure


def optimum(record: Record) -> Measured:
    """The point of the highest accuracy under attack; of equals the one of the least noise."""
    points = _rising(choose_points(measured(record), LEVEL))
    return max(points, key=lambda point: point.accuracy.value)


def _rising(points: Sequence[Measured]) -> list[Measured]:
    return sorted(points, key=_sigma)


def _sigma(point: Measured) -> float:
    return 0.0 if point.sigma is None else point.sigma
