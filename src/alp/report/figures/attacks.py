"""Every attack of the field on four defences, in Linf and L2, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alp.records import KIND_VERDICT, Record, conclude
from alp.report.figures import FIGURES, drawing
from alp.report.figures.style import SIZE, TEXT, canvas, styled
from alp.report.format import count, some, threat_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {
    "fgsm": "FGSM",
    "bim": "BIM",
    "pgd": "PGD",
    "lbfgs": "L-BFGS",
    "deepfool": "DeepFool",
    "cw": "C&W",
    "hopskipjump": "HopSkipJump",
    "square": "Square",
    "boundary": "Boundary",
    "autoattack": "AutoAttack",
}
"""Registered name of an attack to the field's, in the order of the rows."""

CLEAN = "no attack"
"""The row of clean images; attacks on fewer images have one of their own."""

EFFORT = {
    "steps": "steps",
    "searches": "searches",
    "queries": "candidates",
    "evaluations": "decisions",
}
"""Setting of an attack to its words."""

NORMS = {"linf": "Linf", "l2": "L2"}

_MIDDLE = 0.45
"""Where the colours turn from dark, under white letters, to light, under black ones."""


@dataclass(frozen=True)
class Cell:
    """What an attack leaves of a defence."""

    accuracy: Mapping[str, float]
    """``value``, and the ends ``low`` and ``high`` of its 95 % interval, in [0,1]."""
    images: int
    """Images, the wrong ones included."""
    effort: str
    """The attack's settings in words."""


Table = dict[str, dict[tuple[str, str], Cell]]
"""Attack, or ``CLEAN``, to defence and norm to what is left."""


def table(records: Sequence[Record]) -> Table:
    """The accuracies of the records, attacks in the order of ``NAMES`` below ``CLEAN``, of which
    there is a row for each number of images, most of them first."""
    sizes = sorted({len(record) for record in some(records)}, reverse=True)
    clean = {size: f"{CLEAN}, {size} images" if size < sizes[0] else CLEAN for size in sizes}
    rows: Table = {name: {} for name in (*clean.values(), *NAMES.values())}
    for record in records:
        found, header = conclude(record), record.header
        place = header["name"], header["threat"]["name"]
        rows[clean[len(record)]][place] = Cell(found["clean"], len(record), "")
        for entry in header["entries"]:
            attack = entry["attack"]
            name = NAMES.get(attack["name"], str(attack["name"]))
            cell = Cell(found["entries"][entry["name"]], len(record), _effort(attack))
            rows.setdefault(name, {})[place] = cell
    return {name: cells for name, cells in rows.items() if cells}


def _effort(attack: Mapping[str, Any]) -> str:
    return ", ".join(f"{attack[key]} {words}" for key, words in EFFORT.items() if key in attack)


def caption(records: Sequence[Record]) -> str:
    """What the numbers are, how hard each attack tries, and terms."""
    rows, first = table(records), records[0].header
    tried = []
    for name, cells in rows.items():
        cell = next(iter(cells.values()))
        words = [cell.effort] * bool(cell.effort) + [count(cell.images, "image")]
        tried.append(f"{name} ({', '.join(words)})")
    draws = max(entry["draws"] for record in records for entry in record.header["entries"])
    threats = dict.fromkeys(threat_words(record.header["threat"]) for record in records)
    most = max(len(record) for record in records)
    return (
        "Accuracy in per cent under each attack alone (below it its 95 % Wilson interval). "
        f"{'; '.join(tried)}. Of a random defence attackers average, or know, "
        f"{count(draws, 'draw')}; every attacked image is judged on fresh draws. Images are few "
        f"and budgets small: upper bounds. {count(most, 'image')} of {first['data']['name']} "
        f"({first['data']['split']}) at most; {' and '.join(threats)}; seed {first['seed']}."
    )


@FIGURES.register("attacks", order=30)
@drawing("Every attack of the field", KIND_VERDICT, caption=caption, experiment_only=True)
@styled
def draw(records: Sequence[Record]) -> Figure:
    """A cell an attack, defence and norm: accuracy, with its interval; clean images first."""
    rows = table(records)
    places = list(dict.fromkeys(place for cells in rows.values() for place in cells))
    places.sort(key=lambda place: list(NORMS).index(place[1]))
    figure, (axes,) = canvas(0.75 + 0.27 * len(rows))
    values = np.full((len(rows), len(places)), np.nan)
    top = max(cell.accuracy["value"] for cells in rows.values() for cell in cells.values())
    for row, cells in enumerate(rows.values()):
        for place, cell in cells.items():
            column, share = places.index(place), cell.accuracy
            values[row, column] = 100 * share["value"]
            ink = "#000000" if share["value"] > _MIDDLE * top else "#ffffff"
            middle: Any = {"color": ink, "ha": "center", "va": "center"}
            axes.text(column, row - 0.15, f"{100 * share['value']:.0f}", **middle)
            ends = f"{100 * share['low']:.0f}\u2013{100 * share['high']:.0f}"
            axes.text(column, row + 0.26, ends, fontsize=SIZE - 3, **middle)
    axes.imshow(values, cmap="cividis", vmin=0, vmax=max(100 * top, 1), aspect="auto")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_xticks(
        range(len(places)), [f"{name}, {NORMS[norm]}" for name, norm in places], rotation=35
    )
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
    axes.tick_params(length=0, labelcolor=TEXT)
    axes.spines[:].set_visible(False)
    axes.set_title("accuracy (%) under each attack", loc="left")
    return figure
