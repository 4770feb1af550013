"""The paper's tables and figures as experiments. Importing this package does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alp.evaluation.records import Record
    from alp.paper.lab import Lab

__all__ = ["EXPERIMENTS"]


def _hierarchy(lab: Lab) -> list[Record]:
    """Table II: baseline, ALP standalone, adversarial training (AT), A-ALP + AT."""
    from alp.paper.hierarchy import hierarchy

    return hierarchy(lab)


EXPERIMENTS: dict[str, Callable[[Lab], list[Record]]] = {"hierarchy": _hierarchy}
"""Name to experiment; its docstring says what it makes."""
