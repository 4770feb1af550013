"""The paper's figures, each drawn from records alone. Importing this imports no Matplotlib.

A figure is one file with ``draw`` and ``caption``, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from alp.records import (
    KIND_BENCH,
    KIND_EMBEDDING,
    KIND_PICTURES,
    KIND_POINTS,
    KIND_ROBUSTNESS,
    KIND_TRAINING,
    KIND_VERDICT,
    Record,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "Drawing"]


@dataclass(frozen=True)
class Drawing:
    """How an experiment's records become a figure."""

    title: str
    """What it shows."""
    kinds: tuple[str, ...]
    """The kinds of record that it takes."""
    draw: Callable[[Sequence[Record]], Figure]
    """The figure of the records of one run; raises a RecordError where they cannot be drawn."""
    caption: Callable[[Sequence[Record]], str]
    """What to know of it, in plain text: protocol, images, draws, seed."""


def _drawing(title: str, module: str, *kinds: str, of: str = "") -> Drawing:
    """The functions ``draw`` and ``caption`` of a module, each with the ending ``_of`` where it
    has several; it is imported when the first of them is called."""
    ending = f"_{of}" if of else ""

    def draw(records: Sequence[Record]) -> Figure:
        figure: Figure = getattr(import_module(f"{__name__}.{module}"), f"draw{ending}")(records)
        return figure

    def caption(records: Sequence[Record]) -> str:
        text: str = getattr(import_module(f"{__name__}.{module}"), f"caption{ending}")(records)
        return text

    return Drawing(title, kinds, draw, caption)


FIGURES: dict[str, Drawing] = {
    "hierarchy": _drawing("The hierarchy of defences", "forest", KIND_ROBUSTNESS, of="hierarchy"),
    "sigma": _drawing("Sigma against training", "sigma", KIND_TRAINING),
    "sweep": _drawing("Robustness over eps and sigma", "sweep", KIND_POINTS),
    "tradeoff": _drawing("Accuracy and picture quality over sigma", "tradeoff", KIND_POINTS),
    "tsne": _drawing("Features of clean, attacked and purified images", "tsne", KIND_EMBEDDING),
    "reliability": _drawing("Mean and deviation of the trials", "reliability", KIND_POINTS),
    "grids": _drawing("Pictures, and their PSNR", "grids", KIND_PICTURES, KIND_POINTS),
    "robustness-curve": _drawing("Accuracy against the radius", "curve", KIND_POINTS),
    "bottleneck": _drawing("What wide latents let pass", "variants", KIND_POINTS, of="bottleneck"),
    "rate-distortion": _drawing(
        "Rate, distortion and accuracy", "variants", KIND_POINTS, of="rate_distortion"
    ),
    "honest": _drawing("The hierarchy under adaptive attacks", "forest", KIND_VERDICT, of="honest"),
    "speed": _drawing("What a prediction costs, beside its peers", "speed", KIND_BENCH),
}
"""Name of the experiment to its figure."""
