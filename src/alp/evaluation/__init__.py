"""Evaluation of stochastic defences: verdicts, intervals, quality, latency, and their records.

Importing this package imports neither torch nor pyarrow: what needs them is imported when it is
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.evaluation.knowledge import KNOWLEDGE, Subject
from alp.lazy import lazily

if TYPE_CHECKING:
    from alp.evaluation.adaptive import evaluate
    from alp.evaluation.crafting import craft
    from alp.evaluation.header import About
    from alp.evaluation.latency import Latency, measure, profile
    from alp.evaluation.quality import psnr, ssim
    from alp.evaluation.robustness import evaluate_protocol
    from alp.evaluation.running import Share
    from alp.evaluation.statistics import Interval, mean_sd, paired_difference, wilson
    from alp.evaluation.subjects import subject_of
    from alp.evaluation.suites import SUITES, Entry, Probes, Suite
    from alp.evaluation.verdict import counts, judge

__all__ = [
    "KNOWLEDGE",
    "SUITES",
    "About",
    "Entry",
    "Interval",
    "Latency",
    "Probes",
    "Share",
    "Subject",
    "Suite",
    "counts",
    "craft",
    "evaluate",
    "evaluate_protocol",
    "judge",
    "mean_sd",
    "measure",
    "paired_difference",
    "profile",
    "psnr",
    "ssim",
    "subject_of",
    "wilson",
]

_HOMES = {
    "SUITES": "suites",
    "About": "header",
    "Entry": "suites",
    "Interval": "statistics",
    "Latency": "latency",
    "Probes": "suites",
    "Share": "running",
    "Suite": "suites",
    "counts": "verdict",
    "craft": "crafting",
    "evaluate": "adaptive",
    "evaluate_protocol": "robustness",
    "judge": "verdict",
    "mean_sd": "statistics",
    "measure": "latency",
    "paired_difference": "statistics",
    "profile": "latency",
    "psnr": "quality",
    "ssim": "quality",
    "subject_of": "subjects",
    "wilson": "statistics",
}

__getattr__ = lazily(__name__, _HOMES)
