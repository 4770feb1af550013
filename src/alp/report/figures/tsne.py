"""The paper's figure 4: where the classifier sees clean, attacked and purified images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alp.records import KIND_EMBEDDING, Record, accuracy, require
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import PALETTE, SIZE, TEXT, canvas, styled
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "o^sD"
"""Classes that share a colour differ in their marker."""


def caption(records: Sequence[Record]) -> str:
    """Terms, and the shares before and after purification with their intervals."""
    parts = []
    for record in some(records):
        require(record, KIND_EMBEDDING)
        shares = [accuracy(record.columns[f"{name}_share"]) for name in ("attacked", "purified")]
        before, after = (
            f"{100 * each.value:.1f} % ({100 * each.low:.1f}\u2013{100 * each.high:.1f})"
            for each in shares
        )
        parts.append(f"{record.header['level']}: {before} attacked, {after} purified")
    first = records[0]
    return (
        f"Penultimate features of the classifier of {first.name} (t-SNE, perplexity "
        f"{first.header['perplexity']:g}; one embedding a row). Share of an image's "
        f"{first.header['neighbours']} nearest clean images that have its own class (95 % "
        f"intervals): {'; '.join(parts)}. {terms(records)}"
    )


@FIGURES.register("zero-shot-tsne", order=4)
@FIGURES.register("tsne", order=4)
@drawing("Features of clean, attacked and purified images", KIND_EMBEDDING, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """A row an attacker, a panel a set, all of a row in one embedding; below each panel the share
    of its nearest clean images that have an image's own class."""
    for record in some(records):
        require(record, KIND_EMBEDDING)
    sets = records[0].header["sets"]
    figure, panels = canvas(1.35 * len(records) + 0.7, rows=len(records), columns=len(sets))
    for number, record in enumerate(records):
        row = panels[number * len(sets) : (number + 1) * len(sets)]
        reach = [_reach(record, axis) for axis in "xy"]
        for axes, name in zip(row, record.header["sets"], strict=True):
            _scatter(axes, record, name)
            axes.set_xlim(*reach[0])
            axes.set_ylim(*reach[1])
            axes.set_xticks([])
            axes.set_yticks([])
            share = float(np.mean(record.columns[f"{name}_share"]))
            axes.set_xlabel(f"own class {100 * share:.0f} %", labelpad=2)
            if number == 0:
                axes.set_title(name, pad=3)
        row[0].set_ylabel(f"attacker: {record.header['level']}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=5,
        fontsize=SIZE - 1.5,
        handletextpad=0.1,
        columnspacing=0.8,
    )
    return figure


def _reach(record: Record, axis: str) -> tuple[float, float]:
    places = np.concatenate([record.columns[f"{s}_{axis}"] for s in record.header["sets"]])
    margin = 0.05 * float(np.ptp(places)) + 1e-9
    return float(places.min()) - margin, float(places.max()) + margin


def _scatter(axes: Axes, record: Record, name: str) -> None:
    columns = record.columns
    classes = record.header["data"]["classes"]
    for label in np.unique(columns["label"]):
        of_class = columns["label"] == label
        turn, colour = divmod(int(label), len(PALETTE))
        axes.scatter(
            columns[f"{name}_x"][of_class],
            columns[f"{name}_y"][of_class],
            s=5,
            marker=_MARKERS[turn % len(_MARKERS)],
            color=PALETTE[colour],
            linewidths=0,
            label=str(classes[int(label)]),
        )
    axes.spines[:].set_visible(True)
    axes.spines[:].set(alpha=0.4, color=TEXT)
