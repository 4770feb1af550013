"""The one rule that decides "correct".

A point is judged by the deployed prediction, the argmax of the mean logits over the model's own
number of draws, on fresh draws: their generator's purpose begins with ``judge``, which no attack
uses, so that no attacker ever met the noise that judges it. One lucky draw decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from alp import seeding

NOT_A_CLASS = -1
"""The prediction where the mean logits are not finite; it is never correct."""


def judge(
    predict: Callable[[Tensor, Generator], Tensor], x: Tensor, seed: int, point: str, batch: int
) -> Tensor:
    """The predicted classes (B,), int64, of ``x`` (B,3,H,W) on fresh draws.

    ``point`` names which point of an image is judged (``clean``, or a level of knowledge) and
    ``batch`` counts the batches: together with ``seed`` they fix the draws.
    """
    source = seeding.generator(seed, f"judge/{point}", batch, device=x.device)
    with torch.no_grad():
        logits = predict(x, source)
    return logits.argmax(1).where(logits.isfinite().all(1), NOT_A_CLASS)


def counts(
    predict: Callable[[Tensor, Generator], Tensor],
    x: Tensor,
    y: Tensor,
    seed: int,
    point: str,
    batch: int,
    evaluations: int,
) -> Tensor:
    """How many of ``evaluations`` predictions of ``x``, each on fresh draws of its own, are ``y``
    (B,): int16, (B,)."""
    right = torch.zeros(len(x), dtype=torch.int16, device=x.device)
    for number in range(evaluations):
        right += judge(predict, x, seed, f"{point}/{number}", batch) == y
    return right
