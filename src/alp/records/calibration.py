"""Calibration: whether predictions are right as often as they claim to be. Needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp import seeding
from alp.errors import ConfigError

BINS = 15
"""Bins of equal width (Guo et al. 2017, section 4.1)."""

_ROUNDING = 1e-6
"""How far above one a mean of confidences may be."""

_SIMULATIONS = 1000
"""Simulated sets of outcomes behind ``perfect``."""


@dataclass(frozen=True)
class Bin:
    """The images whose confidence lies in an interval."""

    low: float
    """Lower end of the interval, left out."""
    high: float
    """Upper end."""
    images: int
    """How many there are."""
    confidence: float
    """Their mean confidence."""
    accuracy: float
    """The share of their predictions that are right."""


@dataclass(frozen=True)
class Calibration:
    """Confidences beside accuracies."""

    ece: float
    """Expected calibration error in [0,1]: the mean over images of the distance between confidence
    and accuracy of their bin (Guo et al. 2017, equation 3)."""
    perfect: float
    """What it would stay below in 95 of 100 cases were the classifier perfectly calibrated: few
    images alone make an error, and one below this shows nothing."""
    images: int
    """Images with a confidence."""
    bins: tuple[Bin, ...]
    """The bins that have images, by rising confidence."""


def calibration(confidence: NDArray[Any], right: NDArray[Any], bins: int = BINS) -> Calibration:
    """How well ``confidence`` (n,) fits ``right`` (n,), both in [0,1].

    Images without a confidence (NaN) are left out.

    Args:
        confidence: probability that the classifier gives to the class it predicts.
        right: whether the prediction is right, or the share of an image's predictions that are.

    Raises:
        ConfigError: the two are of different lengths or out of [0,1], or there is no confidence.
    """
    sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise ConfigError(
            f"confidences of shape {sure.shape} and correctness of shape {right.shape}; give two "
            "columns (n,) of the same images"
        )
    kept = ~np.isnan(sure)
    sure, right = sure[kept], right[kept]
    inside = all((each >= 0).all() and (each <= 1 + _ROUNDING).all() for each in (sure, right))
    if not len(sure) or not inside:
        raise ConfigError("there are no confidences in [0,1]; give the softmax of each prediction")
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    sizes = np.bincount(place, minlength=bins)
    claimed = np.bincount(place, sure, bins)
    found = np.bincount(place, right, bins)
    return Calibration(
        ece=float(np.abs(claimed - found).sum() / len(sure)),
        perfect=_perfect(sure, place, bins),
        images=len(sure),
        bins=tuple(
            Bin(
                low=number / bins,
                high=(number + 1) / bins,
                images=int(sizes[number]),
                confidence=float(claimed[number] / sizes[number]),
                accuracy=float(found[number] / sizes[number]),
            )
            for number in np.flatnonzero(sizes)
        ),
    )


def _perfect(sure: NDArray[Any], place: NDArray[Any], bins: int) -> float:
    """The 95 % quantile of the error where each image is right with the probability claimed."""
    random = np.random.default_rng(seeding.derive(0, "calibration"))
    total = np.zeros(_SIMULATIONS)
    for number in range(bins):
        own = sure[place == number]
        # One outcome an image, however often it was predicted: its predictions are not independent.
        gaps = np.zeros(_SIMULATIONS)
        for part in np.array_split(own, math.ceil(len(own) / 1024) or 1):
            gaps += (part - (random.random((_SIMULATIONS, len(part))) < part)).sum(1)
        total += np.abs(gaps)
    return float(np.quantile(total / len(sure), 0.95))
