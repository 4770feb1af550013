"""How long experiments take at scale ``cpu``, told before they start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alp.experiments.protocol import Protocol
from alp.report.format import count

TRIAL = {
    "purifier": 8.0,
    "standard": 5.0,
    "adversarial": 34.0,
    "standalone": 1.0,
    "defended": 2.0,
}
"""Core-minutes of a trial's models (:mod:`alp.training.recipes`); curves of sigma need
the first one."""

OWN = {"quantisation": ("diffusion", 14.0)}
"""A model that only one experiment needs, which may be given, and its core-minutes."""

VARIANTS = {
    "bottleneck": 38.0,
    "rate-distortion": 29.0,
    "readings": 2.0,
    "robustness-cost": 25.0,
    "architectures": 21.0,
    "compact": 7.0,
    "bottleneck-free": 4.0,
    "trained-sweep": 2.0,
    "sigma-starts": 14.0,
}
"""Core-minutes of the trainings that an experiment has of its own."""

EVALUATIONS = {
    "hierarchy": 21.0,
    "sweep": 11.0,
    "tradeoff": 8.0,
    "tsne": 2.0,
    "reliability": 8.0,
    "grids": 2.0,
    "robustness-curve": 10.0,
    "bottleneck": 5.0,
    "rate-distortion": 4.0,
    "honest": 19.0,
    "speed": 8.0,
    "zero-shot-sweep": 3.0,
    "zero-shot-tradeoff": 2.0,
    "zero-shot-tsne": 1.0,
    "unmodified": 3.0,
    "consensus": 2.0,
    "readings": 1.0,
    "spectra": 2.0,
    "attacks": 25.0,
    "robustness-cost": 1.0,
    "architectures": 1.0,
    "quantisation": 45.0,
    "compact": 8.0,
    "bottleneck-free": 2.0,
    "trained-sweep": 2.0,
}
"""Core-minutes of evaluation with 1000 images and 5 trials, measured on one core of an AMD EPYC
(Zen 4)."""

_OF_ALL_TRIALS = ("hierarchy", "sigma", "reliability", "grids")

_OF_PURIFIERS = {"sigma", "sigma-starts"}


def core_minutes(names: Sequence[str], protocol: Protocol, folder: Path) -> float:
    """What of the experiments is missing in ``folder``: every model that is not there, and every
    experiment without a record."""
    from alp.experiments.workspace import Workspace

    def is_missing(name: str, trial: int, place: str) -> bool:
        given = Workspace(folder, "", protocol, lambda *_: None).given_path(name, trial)
        return given is None and not (folder / "models" / place / "weights.safetensors").exists()

    every = any(name in _OF_ALL_TRIALS for name in names)
    total = 0.0
    needed = ("purifier",) if set(names) <= _OF_PURIFIERS else tuple(TRIAL)
    for trial in range(protocol.trials if every else 1):
        total += sum(TRIAL[name] * is_missing(name, trial, f"{name}-{trial}") for name in needed)
    for name in names:
        if any((folder / name / "records").glob("**/*.json")):
            continue
        trials = protocol.trials / 5 if name in _OF_ALL_TRIALS else 1
        total += VARIANTS.get(name, 0.0)
        if name in OWN:
            model, minutes = OWN[name]
            total += minutes * is_missing(model, 0, model)
        total += EVALUATIONS.get(name, 0.0) * trials * protocol.images / 1000
    return total


def estimate(names: Sequence[str], protocol: Protocol, folder: Path) -> str:
    """The cost of what is missing in words; empty where it is nothing, or not known."""
    if protocol.scale != "cpu":
        return ""
    minutes = core_minutes(names, protocol, folder)
    if minutes < 60:
        words = count(round(minutes), "core-minute")
        return f"about {words} of work that is not begun" if round(minutes) else ""
    return (
        f"about {minutes / 60:.1f} core-hours of work that is not begun, a little more than "
        f"{minutes / 120:.1f} hours on two cores"
    )
