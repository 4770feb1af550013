"""Settings in, files out: what the command line and the paper's experiments share."""

from __future__ import annotations

from alp.workflows.appraising import Agreement
from alp.workflows.evaluating import BATCH, Terms, device_of, evaluate_model, require_classifier
from alp.workflows.judging import Deployment, Panel, judge_model
from alp.workflows.packaging import ROWS, pack
from alp.workflows.training import Trained, in_brief, load_kind, perturbation, thin, train

__all__ = [
    "BATCH",
    "ROWS",
    "Agreement",
    "Deployment",
    "Panel",
    "Terms",
    "Trained",
    "device_of",
    "evaluate_model",
    "in_brief",
    "judge_model",
    "load_kind",
    "pack",
    "perturbation",
    "require_classifier",
    "thin",
    "train",
]
