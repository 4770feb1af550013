"""What half precision on disk costs a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from alp import seeding
from alp.data import Images
from alp.evaluation import psnr
from alp.models import Defended, InputNoise, Purifier
from alp.models.checkpoint import Model
from alp.workflows.evaluating import BATCH

TOLERANCE = 0.001
"""Share of the decisions that may change: 0.1 points."""

DECIBELS = 0.01
"""Change of a purifier's PSNR that may be."""

_DRAWS = 4
"""Draws that are averaged: rounding acts on each alike, and all of them take long."""


@dataclass(frozen=True)
class Agreement:
    """A model as trained beside the same with its kernels rounded to float16, on the same images
    and draws."""

    half: bool
    """Whether it is stored in half precision: where no more than 0.1 % of the decisions change,
    and of a purifier alone, where the PSNR changes by no more than 0.01 dB."""
    images: int
    """How many were compared."""
    measure: str
    """What ``trained`` and ``rounded`` are: accuracy, or psnr of a purifier alone."""
    difference: float | None
    """The largest difference of an output, a logit or a pixel in [0,1]; None where rounding
    leaves one that is not finite."""
    equal: float
    """Share of equal decisions; of a purifier, which takes none, of images that are purified
    equally well to 0.01 dB."""
    trained: float
    """Accuracy in [0,1], or PSNR in dB, as trained."""
    rounded: float
    """The same, rounded."""


def appraise(model: Model, rounded: Model, images: Images) -> Agreement:
    """Compare a model with its rounded twin on ``images``."""
    differences, equal, scores = [], [], []
    for batch, (_, x, y) in enumerate(images.batches(BATCH)):
        outputs = [_output(each, x, batch) for each in (model, rounded)]
        differences.append(float((outputs[0] - outputs[1]).abs().max()))
        if isinstance(model, Purifier):
            quality = torch.stack([psnr(x, output) for output in outputs])
            equal.append((quality[0] - quality[1]).abs() <= DECIBELS)
            scores.append(quality)
        else:
            decisions = torch.stack([output.argmax(1) for output in outputs])
            equal.append(decisions[0] == decisions[1])
            scores.append((decisions == y).double())
    same = torch.cat(equal)
    changed = int((~same).sum())
    trained, after = torch.cat(scores, 1).double().mean(1).tolist()
    difference = float(torch.tensor(differences).max())  # NaN, if there is one
    finite = math.isfinite(difference)
    close = (
        abs(trained - after) <= DECIBELS
        if isinstance(model, Purifier)
        else changed <= TOLERANCE * len(same)
    )
    return Agreement(
        half=close and finite,
        images=len(images),
        measure="psnr" if isinstance(model, Purifier) else "accuracy",
        difference=difference if finite else None,
        equal=1 - changed / len(same),
        trained=trained,
        rounded=after,
    )


@torch.inference_mode()
def _output(model: Model, x: Tensor, batch: int) -> Tensor:
    source = seeding.generator(0, "appraise", batch)
    if isinstance(model, Purifier):
        return model(x, source)  # type: ignore[no-any-return]
    if isinstance(model, Defended | InputNoise):
        return model(x, source, draws=min(model.draws, _DRAWS))  # type: ignore[no-any-return]
    return model(x)  # type: ignore[no-any-return]
