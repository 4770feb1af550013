"""How the error of a quantised diffusion model grows with the steps of its chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alp.records import KIND_CHAINS, KIND_POINTS, Record, measured, require
from alp.records.chains import after_each_step, amplification, scheme
from alp.records.points import mean
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import BLUE, GREEN, RED, SKY, Mark, canvas, estimates, legend, styled
from alp.report.format import count, grey_levels, some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS: tuple[Mark, ...] = (
    (SKY, "o", "-"),
    (BLUE, "v", ":"),
    (RED, "s", "--"),
    (GREEN, "^", "-."),
)


def caption(records: Sequence[Record]) -> str:
    """What is compared, the models' accuracies in numbers, and terms."""
    chains, points = _parted(records)
    words = []
    for record in points:
        clean, *attacked = measured(record)
        shares = ", ".join(
            [f"clean {100 * clean.accuracy.value:.1f}"]
            + [f"{p.level} {grey_levels(p.eps)} {100 * p.accuracy.value:.1f}" for p in attacked]
        )
        words.append(f"{record.name}: {shares}, {mean(clean.psnr).value:.2f} dB")
    told = f" Accuracy in per cent and PSNR: {'; '.join(words)}. {terms(points)}" if points else ""
    return (
        "The same noise goes through the float and the quantised chain. Above, the difference of "
        "the two at the end over that of independent errors of all steps (1: neither amplified nor "
        f"damped), mean over {count(len(chains[0]), 'image')} with its 95 % interval. Below, the "
        "difference after each step of the longest chain, and, thin, what the step alone adds "
        f"(root mean square over pixels in [-1,1]).{told}"
    )


@FIGURES.register("quantisation", order=33)
@drawing("Rounding errors in a chain of diffusion", KIND_CHAINS, KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """The amplification by the steps of the chain, and the errors after each step of the longest, a
    line a way to quantise."""
    chains, _ = _parted(records)
    figure, (axes, below) = canvas(3.9, rows=2)
    for number, record in enumerate(chains):
        found = {int(each): amplification(record, int(each)) for each in record.header["lengths"]}
        shown = {steps: mean(each) for steps, each in found.items() if each is not None}
        mark = _MARKS[number % len(_MARKS)]
        estimates(axes, list(shown), list(shown.values()), mark, scheme(record))
        for what, width in (("difference", 1.2), ("fresh", 0.5)):
            errors = after_each_step(record, what).mean(axis=1)
            places = range(1, len(errors) + 1)
            below.plot(places, errors, color=mark[0], linestyle=mark[2], linewidth=width)
    below.set_yscale("log")
    below.set_xlabel("steps done")
    below.set_ylabel("error")
    axes.axhline(1, linewidth=0.6, linestyle=":", color="grey")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("steps of the chain")
    axes.set_ylabel("amplification")
    legend(figure, 2)
    return figure


def _parted(records: Sequence[Record]) -> tuple[Sequence[Record], list[Record]]:
    """The chains, at least one, and the models' accuracies."""
    points = [record for record in some(records) if record.kind == KIND_POINTS]
    chains = some([record for record in records if record.kind != KIND_POINTS])
    for kind, group in ((KIND_POINTS, points), (KIND_CHAINS, chains)):
        for record in group:
            require(record, kind)
    return chains, points
