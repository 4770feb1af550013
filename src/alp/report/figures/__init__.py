"""The paper's figures, each drawn from records alone. Importing this imports no Matplotlib.

A figure is one file with ``draw`` and ``caption``, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from alp.evaluation.records import KIND_POINTS, Record

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


def _drawing(title: str, item: str, *kinds: str) -> Drawing:
    """The functions of ``item``'s module, which is imported when the first of them is called."""

    def draw(records: Sequence[Record]) -> Figure:
        figure: Figure = import_module(f"{__name__}.{item}").draw(records)
        return figure

    def caption(records: Sequence[Record]) -> str:
        text: str = import_module(f"{__name__}.{item}").caption(records)
        return text

    return Drawing(title, kinds, draw, caption)


FIGURES: dict[str, Drawing] = {
    "tradeoff": _drawing("Accuracy and picture quality over sigma", "tradeoff", KIND_POINTS),
}
"""Name of the experiment to its figure."""
