"""Evaluation of stochastic defences: attacker knowledge, suites, checks and their verdicts.

Importing this package imports neither torch nor pyarrow: what needs them is imported when it is
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.evaluation.knowledge import KNOWLEDGE
from alp.lazy import lazily

if TYPE_CHECKING:
    from alp.evaluation.config import EvalConfig
    from alp.evaluation.evaluator import evaluate
    from alp.evaluation.grid import Grid, Point
    from alp.evaluation.header import About
    from alp.evaluation.protocol import PaperProtocol
    from alp.evaluation.queries import Queries
    from alp.evaluation.suites import SUITES, Entry, Probes, Suite
    from alp.evaluation.tasks import generate
    from alp.evaluation.verdict import counts, judge

__all__ = [
    "KNOWLEDGE",
    "SUITES",
    "About",
    "Entry",
    "EvalConfig",
    "Grid",
    "PaperProtocol",
    "Point",
    "Probes",
    "Queries",
    "Suite",
    "counts",
    "evaluate",
    "generate",
    "judge",
]

__getattr__ = lazily(
    __name__,
    {
        "alp.evaluation.config": ("EvalConfig",),
        "alp.evaluation.evaluator": ("evaluate",),
        "alp.evaluation.grid": ("Grid", "Point"),
        "alp.evaluation.header": ("About",),
        "alp.evaluation.protocol": ("PaperProtocol",),
        "alp.evaluation.queries": ("Queries",),
        "alp.evaluation.suites": ("SUITES", "Entry", "Probes", "Suite"),
        "alp.evaluation.tasks": ("generate",),
        "alp.evaluation.verdict": ("counts", "judge"),
    },
)
