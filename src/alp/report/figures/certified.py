"""What is proved: certified accuracy over the radius, and the votes behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from alp.records import Estimate, Record
from alp.records.certificates import (
    KIND_CERTIFICATE,
    certified_at,
    summarise_certificates,
    votes_for,
)
from alp.records.statistics import wilson
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import PALETTE, canvas, estimates, legend, percent_axis, styled
from alp.report.format import some

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = "osv^DP"

_POINTS = 60
"""Points of the curve between the radius 0 and the largest that is certified."""


def caption(records: Sequence[Record]) -> str:
    """Terms, and what is certified at the radii that were asked for."""
    told = []
    for record in some(records):
        each = summarise_certificates(record)
        shares = ", ".join(
            f"{100 * row['value']:.1f} % ({100 * row['low']:.1f} to {100 * row['high']:.1f}) at "
            f"{row['radius']:g}"
            for row in each["certified"]
        )
        told.append(
            f"{each['name']} (sigma {each['sigma']:g}, {each['method']}, {each['precision']}, "
            f"alpha {each['alpha']:g}, {each['images']:,} images): {shares}; {each['votes']:,.0f} "
            f"votes an image, average radius {each['acr']:.3f}, which easy images dominate"
        )
    return (
        "Lower bounds on the accuracy under every attack in L2, with 95 % Wilson intervals over "
        f"images. {'. '.join(told)}."
    )


@FIGURES.register("certificates", order=9)
@drawing("What is certified", KIND_CERTIFICATE, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Three panels, a line a model: the share of images that are certified with their own class at
    each radius, the share of votes for the class, and the votes that were cast."""
    figure, axes = canvas(5.4, rows=3)
    for number, record in enumerate(some(records)):
        colour = PALETTE[number % len(PALETTE)]
        mark = (colour, _MARKERS[number % len(_MARKERS)], "-")
        radii = _radii(record)
        estimates(
            axes[0], radii, [_share(record, each) for each in radii], (colour, "", "-"), "", 100
        )
        shown = record.header["radii"]
        estimates(axes[0], shown, [_share(record, r) for r in shown], mark, record.name, 100, True)
        votes = votes_for(record) / np.maximum(1, record.columns["draws"])
        draws = record.columns["draws"]
        for panel, values, edges in (
            (axes[1], votes, np.linspace(0, 1, 41)),
            (axes[2], draws, np.geomspace(max(1, draws.min()), draws.max() + 1, 41)),
        ):
            panel.hist(values, edges.tolist(), histtype="step", color=colour, linewidth=1.2)
    percent_axis(axes[0], "certified (%)")
    axes[0].set_xlim(left=0)
    axes[0].set_xlabel("L2 radius")
    axes[1].set_xlabel("share of votes for the class")
    axes[2].set_xlabel("votes cast")
    axes[2].set_xscale("log")
    for panel in axes[1:]:
        panel.set_ylabel("images")
    legend(figure)
    return figure


def _radii(record: Record) -> list[float]:
    largest = float(np.nanmax(record.columns["radius"], initial=0.0))
    return [float(each) for each in np.linspace(0, max(largest, *record.header["radii"]), _POINTS)]


def _share(record: Record, radius: float) -> Estimate:
    successes, count = int(certified_at(record, radius).sum()), len(record)
    return Estimate(successes / count, *wilson(successes, count))
