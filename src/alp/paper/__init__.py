"""The paper's tables and figures as experiments. Importing this package does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alp.evaluation.records import Record
    from alp.paper.lab import Lab

__all__ = ["EXPERIMENTS"]


def _from(module: str, function: str, what: str) -> Callable[[Lab], list[Record]]:
    """``function`` of a module of this package, imported when it is called; makes ``what``."""

    def experiment(lab: Lab) -> list[Record]:
        records: list[Record] = getattr(import_module(f"{__name__}.{module}"), function)(lab)
        return records

    experiment.__doc__ = what
    return experiment


EXPERIMENTS: dict[str, Callable[[Lab], list[Record]]] = {
    "hierarchy": _from("hierarchy", "hierarchy", "Table II: baseline, ALP alone, AT, A-ALP + AT"),
    "sigma": _from("sigma", "sigma", "figure 2: sigma against training"),
    "sweep": _from("sweep", "sweep", "the robustness matrix: FGSM's eps against sigma"),
    "tradeoff": _from("tradeoff", "tradeoff", "figure 3: accuracy and PSNR over sigma"),
    "tsne": _from("tsne", "tsne", "figure 4: features of clean, attacked and purified images"),
    "reliability": _from("reliability", "reliability", "figure 5: mean and deviation of trials"),
    "grids": _from("grids", "grids", "appendix: pictures, and the distribution of PSNR"),
    "robustness-curve": _from("curve", "robustness_curve", "accuracy against eps, by attacker"),
    "bottleneck": _from("variants", "bottleneck", "what latents of 16 to 512 channels let pass"),
    "rate-distortion": _from("variants", "rate_distortion", "PSNR, bits and accuracy"),
    "honest": _from("honest", "honest", "the hierarchy under adaptive attacks"),
    "speed": _from("speed", "speed", "what a prediction costs beside a purifier by diffusion"),
}
"""Name to experiment, in the order in which all are run; its docstring says what it makes."""
