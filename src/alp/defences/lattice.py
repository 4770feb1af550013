"""Gaussian noise as integers, so that floating point takes nothing away from a certificate.

Images live on a lattice of step ``1 / STEPS``, which holds every 8-bit image. The noise is a
Gaussian rounded to the lattice, added to the image as integers, and the sum is scaled afterwards.
For an image on the lattice, rounding the noise and rounding the noisy image are the same: the
classifier behind a rounding to the lattice, under exact Gaussian noise, is what is certified.
Adding floats has no such property, and attacks on it are known (Jin et al. 2022; Voracek and Hein
2023).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from alp.errors import ConfigError

LEVELS = 16
"""Steps of the lattice in one grey level of an 8-bit image."""

STEPS = 255 * LEVELS
"""Steps of the lattice in the range [0,1] of a pixel."""

BITS = 63
"""Random bits that decide the size of a noise value; one more decides its sign."""

_SHIFT = BITS - 16
"""The 16 highest bits of a draw decide most values alone."""

_NDTR_ERROR = 2.0**-48
"""A bound on the relative error of scipy's normal distribution function in its lower tail, which
is documented to be a few units in the last place (2^-53)."""


class LatticeNoise:
    """N(0, sigma^2) rounded to the lattice, drawn by inverting its distribution function in
    integers."""

    def __init__(self, sigma: float) -> None:
        """``sigma``: standard deviation on images in [0,1].

        Raises:
            ConfigError: ``sigma`` is not above zero, or so large or small that the lattice cannot
                hold the noise.
        """
        number = isinstance(sigma, int | float) and not isinstance(sigma, bool)
        if not number or not 1 / STEPS <= sigma <= 100:
            raise ConfigError(f"sigma is {sigma!r}; give a number from 1/{STEPS} to 100")
        self.sigma = float(sigma)
        cuts = _tail_integers(self.sigma)
        # ascending, for a binary search
        self._cuts = torch.from_numpy(cuts[::-1].copy())
        # on the processor also where the model is built elsewhere: the draws are made there
        first = torch.arange(2 ** (BITS - _SHIFT), device="cpu") << _SHIFT
        largest, smallest = self._above(first), self._above(first + (2**_SHIFT - 1))
        # by the highest bits of a draw, what it decides; -1 where its other bits matter
        self._table = torch.where(largest == smallest, largest, -1).int()

    @property
    def variation(self) -> float:
        """A bound on the total variation between a drawn value and an exactly rounded Gaussian.

        A value's size exceeds k with probability T_k / 2^63 instead of 2 Phi(-(k + 1/2) h / sigma).
        Half the sum of the differences of all cells is at most the sum of the differences of all
        T_k: the error of the function, and one unit of rounding each.
        """
        tails = self._cuts.double() / 2.0**BITS
        return float(tails.sum()) * _NDTR_ERROR + (len(tails) + 1) * 2.0**-BITS

    def draw(self, shape: tuple[int, ...], seed: int) -> Tensor:
        """Independent values of ``shape``, int32, in steps of the lattice: a function of ``seed``
        (63 bits)."""
        generator = np.random.Generator(np.random.PCG64(seed))
        low, high = -(2**63), 2**63 - 1
        words = torch.from_numpy(generator.integers(low, high, shape, np.int64, endpoint=True))
        size = (words & high).flatten()
        above = self._table[size >> _SHIFT]
        unclear = (above < 0).nonzero().flatten()
        above[unclear] = self._above(size[unclear]).int()
        above = above.view(shape)
        return torch.where(words < 0, -above, above)

    def _above(self, size: Tensor) -> Tensor:
        """How many T_k lie above each of ``size``, int64."""
        return len(self._cuts) - torch.searchsorted(self._cuts, size, right=True)


def _tail_integers(sigma: float) -> NDArray[np.int64]:
    """T_k = 2^63 * P(|N| > k), k = 0, 1, ..., as integers, for the noise N in steps."""
    last = math.ceil(9.3 * sigma * STEPS) + 2  # beyond, the tail is below 2^-63
    tails = 2.0 * ndtr(-(np.arange(last) + 0.5) / (sigma * STEPS))
    cuts = np.floor(tails * 2.0**BITS)
    kept: NDArray[np.int64] = cuts[cuts > 0].astype(np.int64)
    return kept


def to_lattice(x: Tensor) -> tuple[Tensor, Tensor]:
    """Images (B,3,H,W), uint8, or float in [0,1] -> the nearest points of the lattice, int32, and
    the Euclidean distance to them (B,), float64, on images in [0,1]; 0 for 8-bit images.

    Raises:
        ConfigError: the images have no such shape, or leave [0,1].
    """
    if x.ndim != 4:
        raise ConfigError(f"images have the shape {tuple(x.shape)}; give (B,3,H,W)")
    if x.dtype == torch.uint8:
        return x.int() * LEVELS, torch.zeros(len(x), dtype=torch.float64)
    if not x.is_floating_point() or not bool(((x >= 0) & (x <= 1)).all()):
        raise ConfigError(
            f"images are {x.dtype} in [{float(x.min()):g}, {float(x.max()):g}]; give floats in "
            "[0,1] or uint8"
        )
    exact = x.double() * STEPS
    points = exact.round()
    # A float of an 8-bit image, q / 255, is not on the lattice by the last bit: it stands for q.
    levels = (x.double() * 255).round()
    eight = levels.to(x.dtype) / 255 == x
    points = torch.where(eight, levels * LEVELS, points)
    moved = torch.where(eight, torch.zeros_like(exact), exact - points) / STEPS
    return points.int(), moved.flatten(1).square().sum(1).sqrt()


def to_floats(points: Tensor) -> Tensor:
    """Points of the lattice, int32 -> float32 images: equal points give bit-identical values."""
    return points.float() / STEPS
