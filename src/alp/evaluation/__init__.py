"""Evaluation of stochastic defences: verdicts, intervals, quality, latency, and their records.

Importing this package does not import torch: what needs it is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from alp.evaluation.header import About
from alp.evaluation.knowledge import KNOWLEDGE, Subject
from alp.evaluation.statistics import Interval, mean_sd, paired_difference, wilson

if TYPE_CHECKING:
    from alp.evaluation.latency import Latency, measure, profile
    from alp.evaluation.quality import psnr, ssim
    from alp.evaluation.robustness import evaluate
    from alp.evaluation.verdict import correct, judge

__all__ = [
    "KNOWLEDGE",
    "About",
    "Interval",
    "Latency",
    "Subject",
    "correct",
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

_NEED_TORCH = {
    "Latency": "latency",
    "measure": "latency",
    "profile": "latency",
    "psnr": "quality",
    "ssim": "quality",
    "evaluate": "robustness",
    "correct": "verdict",
    "judge": "verdict",
}


def __getattr__(name: str) -> Any:
    if name in _NEED_TORCH:
        return getattr(import_module(f"{__name__}.{_NEED_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
