"""The frequencies of an attack, and of what purification takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.records import KIND_POINTS, KIND_SPECTRA, Measured, Record, mean, measured, require
from alp.records.record import BINS
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import BLUE, GREEN, ORANGE, RED, canvas, legend, styled
from alp.report.format import some, terms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = {
    "attack": (RED, "-", "the attack"),
    "behind": (ORANGE, "-.", "the attack behind the purifier"),
    "removed": (BLUE, "--", "what purification takes"),
}


def caption(records: Sequence[Record]) -> str:
    """Terms, and what each band's attacks leave and the purifier lets pass."""
    spectra, bands = _parts(records)
    rows = "; ".join(
        f"{name} "
        + ", ".join(
            f"{100 * p.accuracy.value:.1f} % ({p.level}, {100 * mean(p.passed).value:.0f} % passes)"
            for p in points
            if p.eps
        )
        for name, points in bands.items()
    )
    shares = "; ".join(
        f"{words} {100 * _power(spectra, name)[BINS // 2 :].sum():.0f} %"
        for name, (_, _, words) in _LINES.items()
    )
    return (
        f"{spectra.name}: mean share of the power by radial frequency, attacker "
        f"{spectra.header['level']}; 0.5 cycles a pixel is the finest that pixels hold along an "
        f"axis, and the last point holds what is beyond. From 0.25 on: {shares}. Accuracy under "
        "PGD limited to a band (the low one ends, the high one begins at 0.25), and the share of "
        f"its length that the purifier lets pass: {rows}. {terms([spectra])}"
    )


@FIGURES.register("spectra", order=19)
@drawing("The frequencies of attack and purification", KIND_SPECTRA, KIND_POINTS, caption=caption)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """Shares of power over the radial frequency."""
    spectra, _ = _parts(records)
    figure, (axes,) = canvas(2.4)
    x = (np.arange(BINS) + 0.5) / (2 * BINS)
    for name, (colour, dashes, words) in _LINES.items():
        axes.plot(x, 100 * _power(spectra, name), dashes, color=colour, label=words)
    axes.axvline(0.25, color=GREEN, linewidth=0.6)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("share of power (%)")
    axes.set_xlabel("radial frequency (cycles a pixel)")
    legend(figure, 1)
    return figure


def _parts(records: Sequence[Record]) -> tuple[Record, dict[str, list[Measured]]]:
    """The spectra, and the points of each band."""
    bands = {}
    spectra = [record for record in some(records) if record.kind != KIND_POINTS]
    for record in records:
        if record.kind == KIND_POINTS:
            bands[str(record.header.get("extra", {}).get("band"))] = measured(record)
    if len(spectra) != 1:
        raise RecordError(f"there are {len(spectra)} records of spectra; run the experiment again")
    require(spectra[0], KIND_SPECTRA)
    return spectra[0], bands


def _power(record: Record, name: str) -> NDArray[np.floating]:
    """Share of the power by frequency, (BINS,)."""
    power = np.array([record.columns[f"{name}_{k}"].mean(dtype=np.float64) for k in range(BINS)])
    share: NDArray[np.floating] = power / power.sum()
    return share
