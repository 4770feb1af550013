"""The paper's figures, each drawn from records alone. Importing this imports no Matplotlib.

A figure is one file, which registers it under the name of its experiment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp.records import Record
from alp.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "Drawing", "drawing"]


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
    takes: Callable[[Record], bool] = lambda record: True
    """Whether a record of the kinds has what is drawn."""
    experiment_only: bool = False
    """Whether records that another command made, and no experiment, are left out."""


def drawing(
    title: str,
    *kinds: str,
    caption: Callable[[Sequence[Record]], str],
    takes: Callable[[Record], bool] = lambda record: True,
    experiment_only: bool = False,
) -> Callable[[Callable[[Sequence[Record]], Figure]], Drawing]:
    """Decorator that makes a drawing of its ``draw``."""
    return lambda draw: Drawing(title, kinds, draw, caption, takes, experiment_only)


FIGURES: Registry[Drawing] = Registry("FIGURES", "alp.report.figures", "alp.figures")
"""Name of the experiment to its figure."""
