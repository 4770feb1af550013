"""Evaluation of stochastic defences: attacker knowledge, suites, checks and their verdicts.

Importing this package imports neither torch nor pyarrow: what needs them is imported when it is
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.evaluation.knowledge import KNOWLEDGE
from alp.lazy import lazily

if TYPE_CHECKING:
    from alp.evaluation.evaluator import evaluate
    from alp.evaluation.header import About
    from alp.evaluation.robustness import evaluate_protocol
    from alp.evaluation.running import Share
    from alp.evaluation.suites import SUITES, Entry, Probes, Suite
    from alp.evaluation.tasks import craft
    from alp.evaluation.verdict import counts, judge

__all__ = [
    "KNOWLEDGE",
    "SUITES",
    "About",
    "Entry",
    "Probes",
    "Share",
    "Suite",
    "counts",
    "craft",
    "evaluate",
    "evaluate_protocol",
    "judge",
]

__getattr__ = lazily(
    __name__,
    {
        "alp.evaluation.evaluator": ("evaluate",),
        "alp.evaluation.header": ("About",),
        "alp.evaluation.robustness": ("evaluate_protocol",),
        "alp.evaluation.running": ("Share",),
        "alp.evaluation.suites": ("SUITES", "Entry", "Probes", "Suite"),
        "alp.evaluation.tasks": ("craft",),
        "alp.evaluation.verdict": ("counts", "judge"),
    },
)
