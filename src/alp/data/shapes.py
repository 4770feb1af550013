"""The embedded data set: textured shapes on cluttered ground, drawn deterministically.

It is there so that the whole chain runs without a download. It is made to be easy on clean images
(a small ResNet is above 90 % after a minute) and fragile: faint stripes, which an attack of the
usual 8/255 can repaint, give the class away, so that an undefended classifier falls to 0 %; the
contrast between shape and ground is a few times that budget, which adversarial training can hold
on to.

Ten silhouettes as signed distances: negative inside, positive outside, about 1 in radius.

Only operations that IEEE 754 rounds exactly are used (no sine, no exponential), so that the same
pixels come out on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alp import seeding
from alp.data import DATASETS
from alp.data.cache import cached
from alp.data.images import Images, carve_validation

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


SIZE = 32
PER_CLASS = {"train": 900, "test": 200}
VERSION = 3
"""Part of the cache's key: raised when the drawing changes."""

CONTRAST = (0.18, 0.28)
"""Difference of colour between shape and ground, per channel, as a share of the full range."""
TEXTURE = (0.02, 0.07)
"""Amplitude of the pattern on shape and ground."""
CLUTTER = 4
"""Blobs on the ground of each image."""
NOISE = 0.03
"""Half the width of the uniform noise on every pixel."""
HINT = 0.025
"""Amplitude of the stripes that give each class away, below the usual attack budget: a feature
that is useful and not robust (Ilyas et al. 2019), which an undefended classifier leans on."""

Pixels = npt.NDArray[np.floating[Any]]


@DATASETS.register("shapes")
def load_shapes(split: str, seed: int = 0, root: Path | None = None) -> Images:
    """A split of the shapes drawn with ``seed``: 8,100 train, 900 validation or 2,000 test images
    of 32x32 in 10 balanced classes. There is no file, and ``root`` is not looked at."""
    part = "test" if split == "test" else "train"

    def build() -> dict[str, Images]:
        pool = draw_shapes(part, seed)
        if part == "test":
            return {"test": pool}
        train, validation = carve_validation(pool)
        return {"train": train, "validation": validation}

    images = cached("shapes", f"{VERSION}-{seed}-{part}", split, build)
    return replace(images, source="drawn by alp")


def draw_shapes(part: str, seed: int) -> Images:
    """All images of ``train`` (9,000) or ``test`` (2,000), in a random order of classes."""
    count = PER_CLASS[part]
    pixels = np.concatenate(
        [
            _draw_class(label, Draws(count, seeding.for_data(seed, f"shapes {part}", label)))
            for label in range(len(SILHOUETTES))
        ]
    )
    labels = torch.arange(len(SILHOUETTES)).repeat_interleave(count)
    source = seeding.for_data(seed, f"shapes {part} order")
    order = torch.randperm(len(labels), generator=source)
    images = torch.from_numpy(pixels)[order]
    return Images.of(images, labels[order], tuple(SILHOUETTES), "shapes", part)


@dataclass(frozen=True)
class Draws:
    """Uniform draws, one a image, shaped (count,1,1) to go with the pixel grid."""

    count: int
    source: torch.Generator

    def __call__(self, low: float, high: float, channels: int | None = None) -> Pixels:
        """Uniform in [low, high); with ``channels``, (count,channels,1,1)."""
        shape = (self.count, 1, 1) if channels is None else (self.count, channels, 1, 1)
        return self.noise(shape) * np.float32(high - low) + np.float32(low)

    def sign(self, channels: int | None = None) -> Pixels:
        """-1 or 1, shaped as the draws."""
        return np.copysign(np.float32(1), self(-1, 1, channels))

    def noise(self, shape: tuple[int, ...]) -> Pixels:
        """Uniform in [0, 1), float32."""
        drawn: Pixels = seeding.uniform(shape, self.source).numpy()
        return drawn


def _draw_class(label: int, draw: Draws) -> npt.NDArray[np.uint8]:
    """(count,3,32,32) images of one class."""
    line = np.arange(SIZE, dtype=np.float32) - np.float32((SIZE - 1) / 2)
    x, y = line[None, None, :], line[None, :, None]
    ground = draw(0.35, 0.65, 3)
    shape = ground + draw.sign(3) * draw(*CONTRAST, 3)
    canvas = ground + _texture(x, y, draw)
    for _ in range(CLUTTER):
        blob = _cover(x, y, draw, "disc", (1.0, 3.0), 16.0)
        canvas = canvas + blob * draw(-0.15, 0.15, 3)
    cover = _cover(x, y, draw, list(SILHOUETTES)[label], (8.0, 13.0), 5.0)
    canvas = canvas + cover * (shape + _texture(x, y, draw) - canvas)
    canvas = canvas + _hint(x, y, draw, label)
    canvas = canvas + (draw.noise(canvas.shape) - np.float32(0.5)) * np.float32(2 * NOISE)
    canvas = np.minimum(np.maximum(canvas, np.float32(0)), np.float32(1))
    rounded: npt.NDArray[np.uint8] = (canvas * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return rounded


def _turn(draw: Draws) -> tuple[Pixels, Pixels]:
    """(cosine, sine) of a random angle anywhere in the full turn, by the half-angle formula."""
    t, side = draw(-1, 1), draw.sign()
    scale = side / (t * t + np.float32(1))
    return (np.float32(1) - t * t) * scale, (t + t) * scale


def _cover(
    x: Pixels, y: Pixels, draw: Draws, name: str, radius: tuple[float, float], reach: float
) -> Pixels:
    """(count,1,32,32) share of each pixel covered by a silhouette of a random radius, angle and
    centre, at most ``reach`` pixels from the middle; edges are smooth over one pixel."""
    size = draw(*radius)
    cosine, sine = _turn(draw)
    dx, dy = x - draw(-reach, reach), y - draw(-reach, reach)
    u, v = (cosine * dx + sine * dy) / size, (cosine * dy - sine * dx) / size
    inside = np.float32(0.5) - SILHOUETTES[name](u, v) * size
    return np.minimum(np.maximum(inside, np.float32(0)), np.float32(1))[:, None]


def _texture(x: Pixels, y: Pixels, draw: Draws) -> Pixels:
    """(count,3,32,32) stripes or checks of a random wavelength, angle, phase and colour."""
    cosine, sine = _turn(draw)
    frequency = draw(0.08, 0.3)
    pattern = _wave(frequency * (cosine * x + sine * y) + draw(0, 1))
    checks = draw(0, 1) < 0.5
    across = _wave(frequency * (cosine * y - sine * x) + draw(0, 1))
    pattern = np.where(checks, pattern * across, pattern)
    amplitude: Pixels = draw.sign(3) * draw(*TEXTURE, 3)
    return pattern[:, None] * amplitude


def _hint(x: Pixels, y: Pixels, draw: Draws, label: int) -> Pixels:
    """(count,1,32,32) faint stripes whose direction and wavelength tell the class."""
    across, down = label % 5 - 2, label // 5 + 1
    phase = np.float32(across / SIZE * 2) * x + np.float32(down / SIZE * 4) * y
    return (_wave(phase + draw(0, 1)) * np.float32(HINT))[:, None]


def _wave(phase: Pixels) -> Pixels:
    """Triangle wave of period 1 in [-1, 1]."""
    centred: Pixels = np.abs(phase - np.floor(phase) - np.float32(0.5))
    return np.float32(4) * centred - np.float32(1)
