"""Purifiers of other widths and other constraints, and what they let through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from alp.errors import RecordError
from alp.records import CLEAN, KIND_POINTS, Measured, Record, choose_points, mean, measured
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import BLUE, MARKS, canvas, estimates, legend, percent_axis, styled
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def caption_bottleneck(records: Sequence[Record]) -> str:
    """Terms, and the ends of the curve in numbers."""
    rows = _sorted(records, "latent_channels")
    return (
        "Latents of different widths at equal spatial size, each purifier trained to "
        f"{rows[0][0]['constraint_db']:g} dB with a classifier of its own: share of the attack's "
        "length that is left behind the purifier on one draw (bands: 95 % intervals of the mean), "
        "PSNR of a purified clean image, and accuracy (95 % Wilson intervals). "
        f"{_ends(rows, 'latent_channels', 'channels')} {terms(records)}"
    )


@FIGURES.register("bottleneck", order=8)
@drawing("What wide latents let pass", KIND_POINTS, caption=caption_bottleneck)
@styled
def draw_bottleneck(records: Sequence[Record]) -> Figure:
    """Over the channels of the latent: the share of the attack that passes, PSNR, accuracy."""
    rows = _sorted(records, "latent_channels")
    figure, (passing, quality, shares) = canvas(4.6, rows=3, sharex=True)
    x = [float(extra["latent_channels"]) for extra, _ in rows]
    for level in _attackers(rows):
        chosen = [choose_points(points, level)[0] for _, points in rows]
        estimates(passing, x, [mean(point.passed) for point in chosen], MARKS[level], level, 100)
    passing.set_ylabel("attack that\npasses (%)")
    passing.set_ylim(bottom=0)
    _quality(quality, x, rows)
    _accuracies(shares, x, rows)
    shares.set_xscale("log", base=2)
    shares.set_xticks(x, [f"{each:g}" for each in x])
    shares.minorticks_off()
    shares.set_xlabel("channels of the latent")
    legend(figure, handles=shares.get_lines())
    return figure


def caption_rate_distortion(records: Sequence[Record]) -> str:
    """Terms, and the ends of the curve in numbers."""
    rows = _sorted(records, "bits_per_pixel")
    return (
        f"Latents of {rows[0][0]['latent_channels']} channels as the constraint on the "
        "reconstruction moves, each purifier with a classifier of its own: PSNR of a purified "
        "clean image with the learned noise level (bands: 95 % intervals of the mean), and "
        f"accuracy (95 % Wilson intervals). {_ends(rows, 'bits_per_pixel', 'bits per pixel')} "
        f"{terms(records)}"
    )


@FIGURES.register("rate-distortion", order=9)
@drawing("Rate, distortion and accuracy", KIND_POINTS, caption=caption_rate_distortion)
@styled
def draw_rate_distortion(records: Sequence[Record]) -> Figure:
    """Over the rate: PSNR, with the noise level at each point, and accuracy."""
    rows = _sorted(records, "bits_per_pixel")
    figure, (quality, shares) = canvas(3.6, rows=2, sharex=True)
    x = [float(extra["bits_per_pixel"]) for extra, _ in rows]
    _quality(quality, x, rows)
    for place, (_, points) in zip(x, rows, strict=True):
        point = _clean(points)
        quality.annotate(
            f"\u03c3 {point.sigma or 0:.2f}",
            (place, mean(point.psnr).value),
            xytext=(3, -8),
            textcoords="offset points",
            fontsize="x-small",
        )
    quality.margins(x=0.12, y=0.15)
    _accuracies(shares, x, rows)
    shares.set_xlabel("rate (bits per pixel)")
    legend(figure, handles=shares.get_lines())
    return figure


Row = tuple[dict[str, Any], list[Measured]]


def _sorted(records: Sequence[Record], key: str) -> list[Row]:
    """What each variant is, and its points, by rising ``key``."""
    rows = []
    for record in some(records):
        points, extra = measured(record), record.header.get("extra", {})
        missing = [
            name
            for name in ("latent_channels", "constraint_db", "bits_per_pixel")
            if not isinstance(extra.get(name), int | float)
        ]
        if missing:
            raise RecordError(
                f"the record {record.name!r} lacks {', '.join(missing)} in extra; "
                "run the experiment again"
            )
        rows.append((extra, points))
    by: Callable[[Row], float] = lambda row: row[0][key]  # noqa: E731
    return sorted(rows, key=by)


def _clean(points: Sequence[Measured]) -> Measured:
    return choose_points(points, CLEAN)[0]


def _attackers(rows: Sequence[Row]) -> list[str]:
    return [p.level for p in rows[0][1] if p.level != CLEAN]


def _accuracies(axes: Axes, x: Sequence[float], rows: Sequence[Row]) -> None:
    for level in (CLEAN, *_attackers(rows)):
        shares = [choose_points(points, level)[0].accuracy for _, points in rows]
        estimates(axes, x, shares, MARKS[level], level, 100)
    percent_axis(axes)


def _quality(axes: Axes, x: Sequence[float], rows: Sequence[Row]) -> None:
    shown = [mean(_clean(points).psnr) for _, points in rows]
    estimates(axes, x, shown, (BLUE, "o", "-"), CLEAN)
    axes.set_ylabel("PSNR (dB)")


def _ends(rows: Sequence[Row], key: str, unit: str) -> str:
    """The first and the last variant in a sentence."""
    texts = []
    for extra, points in (rows[0], rows[-1]):
        attacked = [p for p in points if p.level != CLEAN]
        passed = ", ".join(f"{100 * mean(p.passed).value:.0f} % ({p.level})" for p in attacked)
        texts.append(f"{extra[key]:.3g} {unit}: {passed} of the attack passes")
    return f"{'; '.join(texts)}."
