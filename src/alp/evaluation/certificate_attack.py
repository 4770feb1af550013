"""Certificates put to the test: attacks within the radius that was certified."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.stats import binom

from alp import seeding
from alp.attacks import L2, PGD
from alp.defences.smoothed import ABSTAIN, Smoothed
from alp.errors import AlpError
from alp.executors import on_threads
from alp.records import Record
from alp.records.certificates import require_certificate

if TYPE_CHECKING:
    from alp.data import Images

SHARE = 0.99
"""Of the radius that attackers may use: what they find has to lie inside."""

STEPS = 10
"""Gradient steps of an attack."""

DRAWS = 16
"""Draws of the noise whose gradients are averaged at a step (EOT)."""


def attack_certificates(
    smoothed: Smoothed,
    data: Images,
    record: Record,
    count: int,
    *,
    seed: int = 0,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> dict[str, Any]:
    """Attack up to ``count`` certified images, in their order, in L2 at 0.99 of their radius.

    PGD with gradients averaged over draws of the noise tries to leave the certified class, right or
    wrong. What it makes is moved to the lattice and decided by fresh votes at the record's alpha;
    a violation is another class that is the most frequent one for certain.

    Returns:
        ``images``, ``violations``, ``abstained`` (attacked images that the votes leave open).

    Raises:
        AlpError: more decisions changed than alpha allows.
    """
    require_certificate(record)
    alpha = record.header["alpha"]
    rows = np.flatnonzero(record.columns["radius"] > 0)[:count]
    violations = abstained = 0
    with on_threads(record.header["threads"]):  # with another number it is another classifier
        for number, row in enumerate(rows):
            threat = L2(SHARE * float(record.columns["radius"][row]))
            chosen = int(record.columns["selected"][row])
            x, _ = data.batch(torch.tensor([row]))
            source = seeding.generator(seed, "attack a certificate", int(row))
            attack = PGD(steps=STEPS)
            adversarial = attack(
                lambda point: smoothed.logits(point, source, DRAWS).mean(0),  # noqa: B023
                x,
                torch.tensor([chosen]),
                threat,
                source,
            )
            judge = seeding.derive(seed, "judge an attacked certificate", int(row))
            decided = int(smoothed.predict(adversarial, alpha=alpha, budget=2_000, seed=judge))
            abstained += decided == ABSTAIN
            violations += decided not in (ABSTAIN, chosen)
            progress(number + 1, len(rows))
    if violations > _allowed(len(rows), 2 * alpha):
        raise AlpError(
            f"{violations} of {len(rows)} certificates were broken by an attack within their "
            "radius; the certificates are wrong, do not use them"
        )
    return {"images": len(rows), "violations": violations, "abstained": abstained}


def _allowed(count: int, rate: float) -> int:
    """The largest number of violations that errors at ``rate`` explain with probability 0.01."""
    return int(binom.ppf(0.99, count, rate)) if count else 0
