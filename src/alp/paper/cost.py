"""How long experiments take at scale ``cpu``, told before they start."""

from __future__ import annotations

from collections.abc import Sequence

from alp.paper.protocol import Protocol

TRAININGS = {"shared": 61.0, "trial": 15.0}
"""Core-minutes of the classifiers that all but ``sigma`` need, and of a trial's three models
(:mod:`alp.training.recipes`)."""

VARIANTS = {"bottleneck": 38.0, "rate-distortion": 29.0}
"""Core-minutes of the trainings that an experiment has of its own."""

EVALUATIONS = {
    "hierarchy": 35.0,
    "sweep": 11.0,
    "tradeoff": 8.0,
    "tsne": 2.0,
    "reliability": 16.0,
    "grids": 2.0,
    "robustness-curve": 10.0,
    "bottleneck": 5.0,
    "rate-distortion": 4.0,
    "honest": 19.0,
    "speed": 8.0,
}
"""Core-minutes of evaluation with 1000 images and 5 trials, measured on one core of an AMD EPYC
(Zen 4)."""

_OF_ALL_TRIALS = ("hierarchy", "sigma", "reliability", "grids")


def core_minutes(names: Sequence[str], protocol: Protocol) -> float:
    """What the experiments take if nothing of them is done yet."""
    every = any(name in _OF_ALL_TRIALS for name in names)
    total = (protocol.trials if every else 1) * TRAININGS["trial"]
    if set(names) != {"sigma"}:
        total += TRAININGS["shared"]
    for name in names:
        trials = protocol.trials / 5 if name in _OF_ALL_TRIALS else 1
        total += VARIANTS.get(name, 0.0)
        total += EVALUATIONS.get(name, 0.0) * trials * protocol.images / 1000
    return total


def estimate(names: Sequence[str], protocol: Protocol) -> str:
    """The cost of the experiments in words; empty at a scale where it is not known."""
    if protocol.scale != "cpu":
        return ""
    hours = core_minutes(names, protocol) / 60
    return (
        f"about {hours:.1f} core-hours of work if nothing of it is done yet, a little more than "
        f"{hours / 2:.1f} hours on two cores"
    )
