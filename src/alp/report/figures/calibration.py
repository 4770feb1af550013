"""Whether predictions are right as often as they claim, on clean and on attacked images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alp.records import KIND_VERDICT, Calibration, Record, calibrations, conclude
from alp.records.conclusion import CONFIDENCE
from alp.records.statistics import wilson
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import PALETTE, TEXT, canvas, legend, line, percent_axis, styled
from alp.report.format import count, some, suite_words, threat_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osv^DP"

_POINTS = {"clean": "clean", "worst": "worst case"}
"""Point of a calibration to the title of its panel."""

_LONGEST = 28
"""Letters of a name in the legend."""


def _shown(records: Sequence[Record]) -> list[Record]:
    """As many records as lines can be told apart: those of the highest worst case, in order."""
    ranked = sorted(some(records), key=lambda each: -float(conclude(each)["worst"]["value"]))
    best = ranked[: len(_MARKERS)]
    return [record for record in records if any(record is each for each in best)]


def caption(records: Sequence[Record]) -> str:
    """The errors, what chance alone makes of them, and the protocol."""
    told = []
    shown = _shown(records)
    for record in shown:
        errors = ", ".join(
            f"{_POINTS[point]} {100 * each.ece:.1f} % ({100 * each.perfect:.1f})"
            for point, each in calibrations(record).items()
        )
        told.append(f"{record.name}: {errors}")
    header = records[0].header
    left_out = len(records) - len(shown)
    best = f"The {len(shown)} of {len(records)} with the highest worst case. " if left_out else ""
    return (
        f"{best}"
        "How often a prediction is right at each confidence (softmax of the deployed logits); on "
        "the diagonal a classifier is calibrated, below it claims too much. Bars: 95 % Wilson "
        "intervals. Expected calibration error over 15 bins, and in brackets what a perfectly "
        f"calibrated classifier stays below in 95 of 100 cases: {'; '.join(told)}. Worst case: "
        f"suite {suite_words(header)}, {threat_words(header['threat'])}. "
        f"{count(header['images'], 'image')} of {header['data']['name']} "
        f"({header['data']['split']}); seed {header['seed']}."
    )


@FIGURES.register("calibration", order=11)
@drawing(
    "Confidence and accuracy",
    KIND_VERDICT,
    caption=caption,
    takes=lambda record: CONFIDENCE in record.columns,
)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Two reliability diagrams (Guo et al. 2017, figure 1), a line a model."""
    figure, panels = canvas(2.5, columns=2, sharey=True)
    for axes, (point, title) in zip(panels, _POINTS.items(), strict=True):
        axes.plot([0, 100], [0, 100], ":", color=TEXT, linewidth=0.8)
        for number, record in enumerate(_shown(records)):
            found = calibrations(record).get(point)
            if found:
                _reliability(axes, found, number, record.name)
        percent_axis(axes, "right (%)" if axes is panels[0] else "", top=102)
        axes.set_xlim(0, 102)
        axes.set_xlabel("confidence (%)")
        axes.set_title(title)
    handles, _ = panels[0].get_legend_handles_labels()
    legend(figure, 2, handles)
    return figure


def _reliability(axes: Axes, found: Calibration, number: int, name: str) -> None:
    ends = [wilson(each.accuracy * each.images, each.images) for each in found.bins]
    line(
        axes,
        [100 * each.confidence for each in found.bins],
        [100 * each.accuracy for each in found.bins],
        [100 * end.low for end in ends],
        [100 * end.high for end in ends],
        (PALETTE[number % len(PALETTE)], _MARKERS[number % len(_MARKERS)], "-"),
        name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\u2026",
        bars=True,
    )
