"""What the claims of the paper are measured by, from records alone. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator

from alp.experiments.claims import Claim
from alp.experiments.measures import (
    bands,
    field,
    hierarchy,
    honest,
    points,
    psnr,
    speed,
    stability,
    studies,
)
from alp.experiments.measures.base import Measure, Runs, Value

__all__ = ["MEASURES", "Measure", "Runs", "Value"]


def _gain(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Points that a row is above another, by the paper's protocol and in the worst case."""
    yield from hierarchy.gain(runs, claim)
    if honest.ITEM in claim.items:
        yield from honest.gain(runs, claim)


def _robust(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Accuracy of a row under attack in per cent, and with other latents."""
    yield from hierarchy.robust(runs, claim)
    yield from points.robust(runs, claim)


def _slower(runs: Runs, claim: Claim) -> Iterator[Value]:
    """Times that a row takes as long as another, timed by turns and in the table of all rows."""
    yield from speed.draws(runs, claim)
    yield from hierarchy.slower(runs, claim)


MEASURES: dict[str, Measure] = {
    "robust": _robust,
    "deviation": stability.accuracy,
    "psnr": hierarchy.psnr,
    "order": hierarchy.order,
    "gain": _gain,
    "latency ratio": _slower,
    "cost": honest.cost,
    "agreement": honest.agreement,
    "sigma": points.sigma_mean,
    "spread": points.sigma_spread,
    "accuracy": points.accuracy_at,
    "optimum": points.optimum,
    "noise gain": points.noise_gain,
    "psnr at sigma": psnr.at_sigma,
    "psnr ends": psnr.ends,
    "psnr fall": psnr.fall,
    "psnr spread": psnr.spread,
    "gain as it is": points.gain,
    "harm of an attack": field.harm,
    "harm above another": field.stronger,
    "harm by knowledge": field.known,
    "votes": field.votes,
    "harm by decisions": field.decides,
    "left of an attack": field.protects,
    "certified": field.certified,
    "fall over the radius": studies.cost_of_radius,
    "span of architectures": studies.span,
    "amplification": studies.growth,
    "nearness": studies.nearer,
    "gain of draws": points.consensus,
    "harm of a band": bands.harm,
    "removed of a band": bands.removed,
    "displaced": points.displaced,
    "returned": points.returned,
    "passed": points.passed,
    "times slower": speed.diffusion,
}
"""Name of a quantity to what measures it."""
