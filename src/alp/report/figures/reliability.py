"""The paper's figure 5: how much the trials of one defence differ, and the spread of PSNR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from alp.errors import RecordError
from alp.records import CLEAN, KIND_POINTS, Measured, Record, choose_points, measured
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import MARKS, canvas, legend, line, percent_axis, styled
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[list[float], list[float], list[float]]
"""Places, means and deviations."""

Spread = Callable[[Sequence[Measured]], tuple[float, float]]
"""Mean and deviation of one point of all trials."""


def _accuracy(points: Sequence[Measured]) -> tuple[float, float]:
    """In per cent; the deviation is over the trials."""
    shares = [100 * point.accuracy.value for point in points]
    return float(np.mean(shares)), float(np.std(shares, ddof=1)) if len(shares) > 1 else 0.0


def _psnr(points: Sequence[Measured]) -> tuple[float, float]:
    """In dB; the deviation is over the images of a trial, mean of the trials."""
    means = [np.mean(point.psnr, dtype=np.float64) for point in points]
    return float(np.mean(means)), float(np.mean([np.std(point.psnr) for point in points]))


def caption(records: Sequence[Record]) -> str:
    """Terms, and the deviation at the usual settings."""
    curves = _curves(some(records), _accuracy)
    attacked = [level for level in curves["eps"] if level != CLEAN]
    x, mean, sd = curves["eps"][attacked[0]]
    middle = len(x) // 2
    eps = _usual(records[0])
    return (
        f"{records[0].name}: mean accuracy of {len(records)} trials, band: 1 SD over them. Left: "
        f"over the noise level at \u03b5 = {255 * eps:g}/255; right: over the radius at the "
        f"learned noise level, where the deviation is {sd[middle]:.2f} points around "
        f"{mean[middle]:.1f} % at \u03b5 = {x[middle]:g}/255. Below: PSNR of a purified image, "
        f"band: 1 SD over the images of a trial. Attacker: {attacked[0]}. "
        f"{terms(records)}"
    )


@FIGURES.register("reliability", order=5)
@drawing("Mean and deviation of the trials", KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Over sigma at the usual radius, and over eps at the learned sigma: mean accuracy of the
    trials and the band of one standard deviation, and below it PSNR and its spread."""
    figure, panels = canvas(3.4, rows=2, columns=2, sharex="col", sharey="row")
    for spread, (left, right) in ((_accuracy, panels[:2]), (_psnr, panels[2:])):
        curves = _curves(some(records), spread)
        for axes, over in ((left, "sigma"), (right, "eps")):
            for level, (x, mean, sd) in curves[over].items():
                low, high = np.subtract(mean, sd), np.add(mean, sd)
                line(axes, x, mean, low.tolist(), high.tolist(), MARKS[level], level)
    percent_axis(panels[0])
    percent_axis(panels[1], "")
    panels[2].set_ylabel("PSNR (dB)")
    panels[2].set_xlabel("sigma (latent units)")
    panels[3].set_xlabel("eps (1/255)")
    legend(figure)
    return figure


def _curves(records: Sequence[Record], spread: Spread) -> dict[str, dict[str, Curve]]:
    """``sigma`` and ``eps`` to level to curve."""
    trials = [measured(record) for record in records]
    settings = [[(p.level, p.eps) for p in points] for points in trials]
    if any(each != settings[0] for each in settings):
        raise RecordError("the trials were measured at different points; measure them alike")
    usual = _usual(records[0])
    over: dict[str, dict[str, list[int]]] = {"sigma": {}, "eps": {}}
    for number, (point, kept) in enumerate(
        zip(trials[0], records[0].header["points"], strict=True)
    ):
        learned = kept["sigma"] is None
        if not learned and point.eps in (0, usual):
            over["sigma"].setdefault(point.level, []).append(number)
        if learned and point.level != CLEAN:
            over["eps"].setdefault(point.level, []).append(number)
    clean = choose_points(trials[0], CLEAN, sigma=records[0].header["sigma"])[0]
    start = trials[0].index(clean)
    place = {"sigma": lambda p: p.sigma or 0.0, "eps": lambda p: 255 * p.eps}
    return {
        name: {
            level: _curve(
                trials, [start, *numbers] if name == "eps" else numbers, place[name], spread
            )
            for level, numbers in levels.items()
        }
        for name, levels in over.items()
    }


def _curve(
    trials: Sequence[Sequence[Measured]], numbers: Sequence[int], place: object, spread: Spread
) -> Curve:
    assert callable(place)
    order = sorted(numbers, key=lambda number: place(trials[0][number]))
    found = [spread([points[number] for points in trials]) for number in order]
    x = [float(place(trials[0][number])) for number in order]
    return x, [mean for mean, _ in found], [sd for _, sd in found]


def _usual(record: Record) -> float:
    """The radius at which the noise level varies."""
    radii = [p["eps"] for p in record.header["points"] if p["sigma"] is not None and p["eps"]]
    if not radii:
        raise RecordError(f"the record {record.name!r} has no attacked point over sigma")
    return float(radii[0])
