"""Records of the kind ``points``: one model at a list of settings, image by image.

Header, beside what every evaluation says (``name``, ``trial``, ``seed``, ``draws``, ``images``,
``data``, ``sigma``, ``attack``): ``points``, a list of ``name`` (the prefix of its columns),
``level`` (``clean``, or what the attacker knows), ``eps`` (radius; 0 where nothing attacks),
``sigma`` (the noise level; None for the learned one) and ``averaged`` (the attacker's draws a
gradient). Columns, one row an image: ``index``, ``label``, and for each point ``<name>_correct``
(the deployed prediction on fresh draws), ``<name>_psnr`` (dB, of one purified draw beside the clean
image) and ``<name>_passed`` (length of the attack behind the purifier over its length before it, on
one draw; NaN where nothing attacks).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.errors import RecordError
from alp.records.record import KIND_POINTS, Record, require
from alp.records.statistics import normal_quantile, wilson

CLEAN = "clean"
"""The level of a point at which nothing attacks."""


@dataclass(frozen=True)
class Estimate:
    """A mean over images, with its 95 % interval."""

    value: float
    """The mean."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What a record says of one point."""

    level: str
    """``clean``, or a level of attacker knowledge."""
    eps: float
    """Radius of the attack; 0 where there is none."""
    sigma: float | None
    """Noise level in latent units: the point's own, or the learned one; None without a purifier."""
    correct: NDArray[Any] = field(repr=False)
    """Whether each image is right, bool (n,)."""
    psnr: NDArray[Any] = field(repr=False)
    """dB of one purified draw beside the clean image, (n,)."""
    passed: NDArray[Any] = field(repr=False)
    """Share of the attack's length that the purifier lets through, (n,)."""

    @property
    def accuracy(self) -> Estimate:
        """The share of images that are right."""
        return accuracy(self.correct)


def accuracy(correct: NDArray[Any]) -> Estimate:
    """The share of images that are right and its Wilson interval: ``correct`` is bool (n,), or the
    shares of trials on the same images, float (n,)."""
    share = float(np.mean(correct, dtype=np.float64))
    interval = wilson(share * len(correct), len(correct))
    return Estimate(share, interval.low, interval.high)


def mean(values: NDArray[Any]) -> Estimate:
    """The mean of numbers (n,), one an image, and its interval by the normal approximation; those
    that are NaN are left out."""
    kept = values[~np.isnan(values)].astype(np.float64)
    if not len(kept):
        return Estimate(math.nan, math.nan, math.nan)
    centre = float(kept.mean())
    half = normal_quantile(0.95) * float(kept.std()) / math.sqrt(len(kept))
    return Estimate(centre, centre - half, centre + half)


def measured(record: Record) -> list[Measured]:
    """The points of a record, in its order.

    Raises:
        RecordError: it is of another kind, or lacks what the kind has.
    """
    require(record, KIND_POINTS)
    return [
        Measured(
            level=str(point["level"]),
            eps=float(point["eps"]),
            sigma=record.header["sigma"] if point["sigma"] is None else float(point["sigma"]),
            correct=record.columns[f"{point['name']}_correct"],
            psnr=record.columns[f"{point['name']}_psnr"],
            passed=record.columns[f"{point['name']}_passed"],
        )
        for point in record.header["points"]
    ]


def choose_points(
    points: Iterable[Measured],
    level: str,
    *,
    eps: float | None = None,
    sigma: float | None = None,
) -> list[Measured]:
    """The points of ``level``, at ``eps`` and at ``sigma`` where these are given.

    Raises:
        RecordError: there is none.
    """
    found = [
        point
        for point in points
        if point.level == level
        and (eps is None or point.eps == eps)
        and (sigma is None or point.sigma == sigma)
    ]
    if not found:
        wanted = {"eps": eps, "sigma": sigma}
        where = "".join(f", {key} {value:g}" for key, value in wanted.items() if value is not None)
        raise RecordError(f"the record has no point of the level {level!r}{where}; measure again")
    return found
