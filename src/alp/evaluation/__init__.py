"""Evaluation of stochastic defences: verdicts, intervals, quality, latency, and their records.

Importing this package imports neither torch nor pyarrow: what needs them is imported when it is
asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from alp.evaluation.knowledge import KNOWLEDGE, Subject

if TYPE_CHECKING:
    from alp.evaluation.crafting import craft
    from alp.evaluation.header import About
    from alp.evaluation.latency import Latency, measure, profile
    from alp.evaluation.quality import psnr, ssim
    from alp.evaluation.robustness import evaluate
    from alp.evaluation.statistics import Interval, mean_sd, paired_difference, wilson
    from alp.evaluation.verdict import correct, judge

__all__ = [
    "KNOWLEDGE",
    "About",
    "Interval",
    "Latency",
    "Subject",
    "correct",
    "craft",
    "evaluate",
    "judge",
    "mean_sd",
    "measure",
    "paired_difference",
    "profile",
    "psnr",
    "ssim",
    "wilson",
]

_HOMES = {
    "About": "header",
    "Interval": "statistics",
    "Latency": "latency",
    "measure": "latency",
    "profile": "latency",
    "psnr": "quality",
    "ssim": "quality",
    "evaluate": "robustness",
    "mean_sd": "statistics",
    "paired_difference": "statistics",
    "wilson": "statistics",
    "craft": "crafting",
    "correct": "verdict",
    "judge": "verdict",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
