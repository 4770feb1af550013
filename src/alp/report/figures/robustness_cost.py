"""What robustness costs in accuracy: in closed form, and of small classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alp.errors import RecordError
from alp.records import CLEAN, KIND_OPTIMA, KIND_POINTS, Measured, Record, measured, require
from alp.records.points import Estimate, accuracy
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import (
    GREEN,
    MARKS,
    PINK,
    RED,
    TEXT,
    Mark,
    canvas,
    estimates,
    percent_axis,
    styled,
)
from alp.report.format import count, grey_levels, some, terms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = (PINK, GREEN, RED)


def caption(records: Sequence[Record]) -> str:
    """The problem, the accuracies of the trainings in numbers, and terms."""
    toys, trained = _parted(records)
    rows = {
        grey_levels(eps): ", ".join(
            f"{_words(attacked)} {100 * share.value:.1f}" for attacked, share in shares.items()
        )
        for eps, shares in trained_at(trained).items()
    }
    words = "; ".join(f"{eps}: {shares}" for eps, shares in rows.items())
    seeds = len({record.header["trial"] for record in trained})
    closed = ""
    if toys:
        header, columns = toys[0].header, toys[0].columns
        closed = (
            f"Top: one feature that is the label with probability {header['reliable']:g} and "
            f"{header['features']} weak ones of mean {header['mean']:g} (Tsipras et al. 2019), the "
            "best classifier for each radius, in closed form. At twice the mean the most accurate "
            f"one ({100 * columns['clean'][0]:.1f} %) has "
            f"{100 * columns['accurate_attacked'][-1]:.1f} % right, and the best one "
            f"{100 * columns['attacked'][-1]:.1f} %. "
        )
    return (
        f"{closed}Classifiers of one size, trained for as long at each radius, in per cent by that "
        f"radius: {words}. "
        f"Means over {count(seeds, 'seed')}; bars: 95 % Wilson intervals of the mean. "
        f"{terms(trained)}"
    )


@FIGURES.register("robustness-cost", order=31)
@drawing("What robustness costs in accuracy", KIND_OPTIMA, KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Accuracy over the radius of the training, clean and under attacks: of the optima of the
    problem in closed form above, of classifiers below."""
    toys, trained = _parted(records)
    figure, panels = canvas(1.9 * (1 + bool(toys)), rows=1 + bool(toys))
    if toys:
        _closed(panels[0], toys[0])
    axes, found = panels[-1], trained_at(trained)
    radii = [255 * eps for eps in found]
    for number, attacked in enumerate(next(iter(found.values()))):
        shares = [shares[attacked] for shares in found.values()]
        estimates(axes, radii, shares, _mark(number), _words(attacked), 100, bars=True)
    percent_axis(axes)
    axes.set_xlabel("radius of the training (255ths)")
    axes.legend(loc="upper right", ncols=2, labelcolor=TEXT)
    return figure


def _closed(axes: Axes, toy: Record) -> None:
    columns = toy.columns
    axes.plot(columns["eps"], 100 * columns["clean"], "-", color=TEXT, label="best, clean")
    axes.plot(columns["eps"], 100 * columns["attacked"], "-", color=RED, label="best, attacked")
    axes.plot(
        columns["eps"],
        100 * columns["accurate_attacked"],
        "--",
        color=GREEN,
        label="most accurate, attacked",
    )
    percent_axis(axes)
    axes.set_xlabel("radius of the attack")
    axes.legend(loc="lower left", labelcolor=TEXT)


def trained_at(records: Sequence[Record]) -> dict[float, dict[float, Estimate]]:
    """Radius of the training to radius of the attack (0 for none) to the mean accuracy over the
    seeds.

    Raises:
        RecordError: there is no record, or one lacks what the experiment says of it.
    """
    groups: dict[float, dict[float, list[Measured]]] = {}
    for record in some(records):
        require(record, KIND_POINTS)
        eps = record.header.get("extra", {}).get("trained_eps")
        if eps is None:
            raise RecordError(
                f"the record {record.name!r} lacks trained_eps in extra; run the experiment again"
            )
        for point in measured(record):
            attacked = 0.0 if point.level == CLEAN else point.eps
            groups.setdefault(eps, {}).setdefault(attacked, []).append(point)
    return {
        eps: {
            attacked: accuracy(np.stack([each.correct for each in seeds]).mean(0, dtype=np.float64))
            for attacked, seeds in sorted(groups[eps].items())
        }
        for eps in sorted(groups)
    }


def _parted(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Those of the closed form, and those of classifiers."""
    toys = [record for record in some(records) if record.kind == KIND_OPTIMA]
    for record in toys:
        require(record, KIND_OPTIMA)
    trained = [record for record in records if record.kind != KIND_OPTIMA]
    return toys, trained


def _words(eps: float) -> str:
    return f"under {grey_levels(eps)}" if eps else "clean"


def _mark(number: int) -> Mark:
    if not number:
        return MARKS["clean"]
    return _COLOURS[(number - 1) % len(_COLOURS)], "^", "-"
