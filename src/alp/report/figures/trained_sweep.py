"""Purifiers trained at each noise level, beside one whose noise level is set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from alp.records import CLEAN, KIND_POINTS, Measured, Record, choose_points, mean, measured
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import (
    BLUE,
    RED,
    Mark,
    canvas,
    estimates,
    legend,
    percent_axis,
    styled,
)
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = "single"
"""The attacker that is drawn: the paper's."""

_MARKS: tuple[Mark, ...] = ((BLUE, "o", "-"), (RED, "s", "--"))


def caption(records: Sequence[Record]) -> str:
    """Terms, and each curve's best noise level."""
    found = _curves(records)
    eps = _strongest(found)
    best = []
    for name, points in found.items():
        attacked = choose_points(points, LEVEL, eps=eps)
        top = max(attacked, key=lambda point: point.accuracy.value)
        best.append(f"{name}: best at {_sigma(top):g} with {100 * top.accuracy.value:.1f} %")
    return (
        "Purifiers with a bounded latent and a fixed noise level, all of one small size and one "
        "short training by the mean squared error, before a classifier that nobody fine-tuned: "
        "PSNR of a purified clean image (bands: 95 % intervals of the mean), accuracy on clean "
        f"images, and under the attacker {LEVEL} at eps {eps:g} (95 % Wilson intervals). "
        f"{'; '.join(best)}. {terms(records)}"
    )


@FIGURES.register("trained-sweep", order=22)
@drawing("A purifier trained at each noise level", KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """PSNR, clean accuracy and accuracy under attack over sigma, a line each."""
    found = _curves(records)
    figure, (quality, clean, attacked) = canvas(4.4, rows=3, sharex=True)
    for mark, (name, points) in zip(_MARKS, found.items(), strict=False):
        bare = choose_points(points, CLEAN)
        x = [_sigma(point) for point in bare]
        estimates(quality, x, [mean(point.psnr) for point in bare], mark, name)
        estimates(clean, x, [point.accuracy for point in bare], mark, name, 100)
        hit = choose_points(points, LEVEL, eps=_strongest(found))
        estimates(attacked, x, [point.accuracy for point in hit], mark, name, 100)
    quality.set_ylabel("PSNR (dB)")
    percent_axis(clean, "clean (%)")
    percent_axis(attacked, "attacked (%)")
    attacked.set_xlabel("sigma (latent units)")
    legend(figure, 1)
    return figure


def _curves(records: Sequence[Record]) -> Mapping[str, list[Measured]]:
    """The points of all records of a name, by rising noise."""
    found: dict[str, list[Measured]] = {}
    for record in some(records):
        found.setdefault(record.name, []).extend(measured(record))
    return {name: sorted(points, key=_sigma) for name, points in found.items()}


def _strongest(found: Mapping[str, list[Measured]]) -> float:
    return max(point.eps for points in found.values() for point in points)


def _sigma(point: Measured) -> float:
    return point.sigma or 0.0
