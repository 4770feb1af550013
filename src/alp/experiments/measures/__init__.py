"""What the claims of the paper are measured by, from records alone. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator

from alp.experiments.claims import Claim
from alp.experiments.measures import hierarchy, honest, points, speed, widths
from alp.experiments.measures.base import Measure, Runs, Value

__all__ = ["MEASURES", "Measure", "Runs", "Value"]


def _gain(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that a row is above another, by the paper's protocol and in the worst case."""
    yield from hierarchy.gain(runs, claim)
    yield from honest.gain(runs, claim)


MEASURES: dict[str, Measure] = {
    "robust": hierarchy.robust,
    "deviation": hierarchy.deviation,
    "psnr": hierarchy.psnr,
    "latency": hierarchy.latency,
    "order": hierarchy.order,
    "gain": _gain,
    "cost": honest.cost,
    "sigma": points.sigma_mean,
    "spread": points.sigma_spread,
    "accuracy": points.accuracy_at,
    "optimum": points.optimum,
    "psnr at an end": points.psnr_ends,
    "returned": points.returned,
    "passed": widths.passed,
    "times slower": speed.diffusion,
}
"""Name of a quantity to what measures it."""
