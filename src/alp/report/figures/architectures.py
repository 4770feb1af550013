"""Accuracy over the radius of the attack, by architecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alp.errors import RecordError
from alp.records import KIND_POINTS, Record, measured, require
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import (
    GREEN,
    ORANGE,
    RED,
    SKY,
    Mark,
    canvas,
    estimates,
    legend,
    percent_axis,
    styled,
)
from alp.report.format import grey_levels, some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS: tuple[Mark, ...] = (
    (SKY, "o", "-"),
    (RED, "s", "--"),
    (GREEN, "^", "-."),
    (ORANGE, "D", ":"),
)


def caption(records: Sequence[Record]) -> str:
    """The accuracies in numbers, and terms."""
    for record in some(records):
        _extra(record)
    words = []
    for record in records:
        points = measured(record)
        shares = ", ".join(
            f"{grey_levels(p.eps) if p.eps else 'clean'} {100 * p.accuracy.value:.1f}"
            for p in points
        )
        parameters = record.header["extra"]["parameters"]
        words.append(f"{record.name} ({parameters:,} parameters): {shares}")
    return (
        "Four kinds of classifiers of about equal multiply-adds, trained for as long by the same "
        f"optimiser; accuracy in per cent by radius. {'; '.join(words)}. Bands: 95 % "
        f"Wilson intervals. {terms(records)}"
    )


@FIGURES.register("architectures", order=32)
@drawing("Robustness by architecture", KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Standard trainings above, adversarial ones below, a line an architecture."""
    kinds = list(dict.fromkeys(_extra(record)[0] for record in some(records)))
    trainings = sorted({_extra(record)[1] for record in records})
    figure, panels = canvas(0.4 + 1.7 * len(trainings), rows=len(trainings), sharex=True)
    for axes, adversarial in zip(panels, trainings, strict=True):
        for record in records:
            kind, training = _extra(record)
            if training == adversarial:
                points = sorted(measured(record), key=lambda point: point.eps)
                mark = _MARKS[kinds.index(kind) % len(_MARKS)]
                radii = [255 * point.eps for point in points]
                estimates(axes, radii, [point.accuracy for point in points], mark, kind, 100)
        axes.set_title("adversarial training" if adversarial else "standard training", loc="left")
        percent_axis(axes)
    panels[-1].set_xlabel("radius of the attack (255ths)")
    legend(figure, 4)
    return figure


def _extra(record: Record) -> tuple[str, bool]:
    """Architecture, and whether it was trained adversarially."""
    require(record, KIND_POINTS)
    extra = record.header.get("extra", {})
    if not {"architecture", "adversarial", "parameters"} <= set(extra):
        raise RecordError(
            f"the record {record.name!r} lacks architecture, adversarial or parameters in extra; "
            "run the experiment again"
        )
    return str(extra["architecture"]), bool(extra["adversarial"])
