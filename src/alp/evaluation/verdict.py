"""The one rule that decides "correct".

A point is judged by the deployed prediction, the argmax of the mean logits over the model's own
number of draws, on fresh draws: their generator's purpose begins with ``judge``, which no attack
uses, so that no attacker ever met the noise that judges it. One lucky draw decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Generator, Tensor

from alp import seeding
from alp.attacks import resumable

NOT_A_CLASS = -1
"""The prediction where the mean logits are not finite; it is never correct."""


def judge(
    predict: Callable[[Tensor, Generator], Tensor], x: Tensor, seed: int, point: str, batch: int
) -> Tensor:
    """The classes of :func:`decide`, (B,)."""
    return decide(predict, x, seed, point, batch)[0]


def decide(
    predict: Callable[[Tensor, Generator], Tensor], x: Tensor, seed: int, point: str, batch: int
) -> tuple[Tensor, Tensor]:
    """The predicted classes (B,), int64, of ``x`` (B,3,H,W) on fresh draws, and their confidences
    (B,): the softmax of the deployed logits, NaN where these are not finite.

    ``point`` names which point of an image is judged (``clean``, or a level of knowledge) and
    ``batch`` counts the batches: together with ``seed`` they fix the draws.
    """
    source = seeding.generator(seed, f"judge/{point}", batch, device=x.device)
    with torch.no_grad():
        logits = predict(x, source)
    confidence = logits.softmax(1).amax(1).float()
    finite = logits.isfinite().all(1)
    return logits.argmax(1).where(finite, NOT_A_CLASS), confidence.where(finite, math.nan)


def counts(
    predict: Callable[[Tensor, Generator], Tensor],
    x: Tensor,
    y: Tensor,
    seed: int,
    point: str,
    batch: int,
    evaluations: int,
) -> Tensor:
    """The numbers of right predictions of :func:`outcomes`, (B,)."""
    return outcomes(predict, x, y, seed, point, batch, evaluations)[0]


def outcomes(
    predict: Callable[[Tensor, Generator], Tensor],
    x: Tensor,
    y: Tensor,
    seed: int,
    point: str,
    batch: int,
    evaluations: int,
) -> tuple[Tensor, Tensor]:
    """How many of ``evaluations`` predictions of ``x``, each on fresh draws of its own, are ``y``
    (B,): int16, (B,); and their mean confidence, float32 (B,)."""
    sums = SimpleNamespace(
        right=torch.zeros(len(x), dtype=torch.int16, device=x.device),
        confidence=torch.zeros(len(x), device=x.device),
    )
    for number in resumable.steps(evaluations, sums):
        prediction, sure = decide(predict, x, seed, f"{point}/{number}", batch)
        sums.right = sums.right + (prediction == y)
        sums.confidence = sums.confidence + sure / evaluations
    return sums.right, sums.confidence
