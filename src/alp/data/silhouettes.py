"""Ten silhouettes as signed distances: negative inside, positive outside, about 1 in radius.

Only operations that IEEE 754 rounds exactly are used (no sine, no exponential), so that the same
pixels come out on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.floating[Any]]


def disc(u: Plane, v: Plane) -> Plane:
    return np.sqrt(u * u + v * v) - np.float32(0.85)


def square(u: Plane, v: Plane) -> Plane:
    return np.maximum(np.abs(u), np.abs(v)) - np.float32(0.75)


def triangle(u: Plane, v: Plane) -> Plane:
    """Equilateral, one corner at v = 1."""
    return np.maximum(np.float32(0.866) * np.abs(u) + np.float32(0.5) * v, -v) - np.float32(0.5)


def ring(u: Plane, v: Plane) -> Plane:
    return np.abs(np.sqrt(u * u + v * v) - np.float32(0.72)) - np.float32(0.2)


def frame(u: Plane, v: Plane) -> Plane:
    return np.abs(np.maximum(np.abs(u), np.abs(v)) - np.float32(0.65)) - np.float32(0.18)


def plus(u: Plane, v: Plane) -> Plane:
    return np.minimum(bar(u, v), bar(v, u))


def star(u: Plane, v: Plane) -> Plane:
    """Astroid-like, four points."""
    return np.float32(0.6) * (np.sqrt(np.abs(u)) + np.sqrt(np.abs(v)) - np.float32(1.1))


def crescent(u: Plane, v: Plane) -> Plane:
    bite = np.sqrt((u - np.float32(0.55)) ** 2 + v * v) - np.float32(0.75)
    return np.maximum(np.sqrt(u * u + v * v) - np.float32(0.95), -bite)


def bar(u: Plane, v: Plane) -> Plane:
    return np.maximum(np.abs(u) - np.float32(1.0), np.abs(v) - np.float32(0.28))


def half(u: Plane, v: Plane) -> Plane:
    """Half a disc."""
    up: Plane = v + np.float32(0.4)
    whole: Plane = np.sqrt(u * u + up * up) - np.float32(1.0)
    return np.maximum(whole, -up)


SILHOUETTES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "disc": disc,
    "square": square,
    "triangle": triangle,
    "ring": ring,
    "frame": frame,
    "plus": plus,
    "star": star,
    "crescent": crescent,
    "bar": bar,
    "half": half,
}
