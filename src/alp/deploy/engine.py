"""What every backend offers: the two halves of a defended model on numpy arrays, and what is made
of them. Needs no torch."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from alp.config import require_number
from alp.deploy.consensus import Consensus, Outcome
from alp.errors import ConfigError

Floats: TypeAlias = NDArray[np.float32]

Random: TypeAlias = "np.random.Generator | int | None"
"""A generator of numpy, a seed, or None for the operating system's entropy, as in serving."""

GROUP = 64
"""Images that decoder and classifier see at a time where the batch is smaller."""


@dataclass(frozen=True)
class Shapes:
    """What an engine is built for."""

    size: tuple[int, int]
    """Height and width of the images."""
    latent: tuple[int, int, int]
    """Channels, height and width of the latent."""
    classes: int
    """K, the number of logits."""
    draws: int
    """Draws of the deployed prediction."""


ROUNDING = 1e-6
"""How far beyond [0,1] a pixel may be: the rounding of whoever made it."""


class Engine(ABC):
    """A defended model, compiled: numpy arrays in, numpy arrays out, float32 throughout.

    Backends fill in the halves ``encode``, ``decode_classify`` and ``decode``.
    """

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.draws = shapes.draws

    @abstractmethod
    def encode(self, images: Floats) -> Floats:
        """The deterministic half, once per image: (B,3,H,W) in [0,1] -> mu (B,C,h,w)."""

    @abstractmethod
    def decode_classify(self, mu: Floats, noise: Floats) -> Floats:
        """The random half: mu (B,C,h,w) and standard normal noise (N,B,C,h,w) -> logits (N,B,K)."""

    @abstractmethod
    def decode(self, mu: Floats, noise: Floats) -> Floats:
        """The purified images of each draw: mu and noise as above -> (N,B,3,H,W) in [0,1]."""

    def predict(self, images: Floats, draws: int | None = None, generator: Random = None) -> Floats:
        """The deployed prediction: mean logits (B,K) over ``draws`` draws, by default as the
        model was built.

        Raises:
            ConfigError: ``images`` are no float32 batch of the engine's size, or ``draws`` is no
                number of draws.
        """
        self.check(images)
        draws = self.counted(draws)
        random, mu = np.random.default_rng(generator), self.encode(images)
        total = np.zeros((len(images), self.shapes.classes), np.float32)
        for now in _groups(draws, len(images)):
            total += self.decode_classify(mu, self.noise(random, now, len(images))).sum(0)
        mean: Floats = total / np.float32(draws)
        return mean

    def vote(self, images: Floats, consensus: Consensus, generator: Random = None) -> Outcome:
        """The sequential consensus; an image's draws are the first ones of ``predict``.

        Raises:
            ConfigError: ``images`` are no float32 batch of the engine's size.
        """
        self.check(images)
        random, mu = np.random.default_rng(generator), self.encode(images)
        total = np.zeros((len(images), self.shapes.classes), np.float32)
        tally = consensus.begin(len(images))
        while len(tally.rows):
            rows, parts = tally.rows, []
            for now in _groups(tally.next, len(rows)):
                # Noise of all images, so that what one meets does not depend on the others.
                noise = self.noise(random, now, len(images))[:, rows]
                parts.append(self.decode_classify(mu[rows], noise))
            logits = np.concatenate(parts)
            total[rows] += logits.sum(0)
            tally.count(logits)
        return Outcome(total / tally.draws[:, None].astype(np.float32), tally.draws)

    def purify(self, images: Floats, generator: Random = None) -> Floats:
        """One purified draw of each image: (B,3,H,W) in [0,1].

        Raises:
            ConfigError: ``images`` are no float32 batch of the engine's size.
        """
        self.check(images)
        random = np.random.default_rng(generator)
        noise = self.noise(random, 1, len(images))
        purified: Floats = self.decode(self.encode(images), noise)[0]
        return purified

    def noise(self, random: np.random.Generator, draws: int, images: int) -> Floats:
        """Standard normal noise (draws, images, C, h, w)."""
        shape = (draws, images, *self.shapes.latent)
        return random.standard_normal(shape, np.float32)

    def counted(self, draws: int | None) -> int:
        """A number of draws, those of the model where None is given.

        Raises:
            ConfigError: it is none.
        """
        draws = self.draws if draws is None else draws
        require_number("draws", draws, 1, whole=True)
        return draws

    def check(self, images: Any) -> None:
        """Raise a ConfigError unless ``images`` are a float32 batch of the engine's size."""
        height, width = self.shapes.size
        shape, kind = getattr(images, "shape", None), getattr(images, "dtype", type(images))
        if shape is None or len(shape) != 4 or not shape[0] or shape[1:] != (3, height, width):
            raise ConfigError(
                f"images have shape {shape}; this engine is built for a non-empty numpy array "
                f"(batch, 3, {height}, {width}): resize them, or build it for their size"
            )
        if kind != np.float32:
            raise ConfigError(f"images are {kind}; give float32 in [0,1] (divide bytes by 255)")
        low, high = float(images.min()), float(images.max())
        if not (low >= -ROUNDING and high <= 1 + ROUNDING):
            raise ConfigError(
                f"images reach from {low:.6g} to {high:.6g}; give images in [0,1] (normalisation "
                "is inside the model)"
            )


def check_calibration(images: Any, size: tuple[int, int]) -> None:
    """Raise a ConfigError unless ``images`` can calibrate int8 for images of ``size``."""
    shape = getattr(images, "shape", None)
    if shape is None or len(shape) != 4 or not shape[0] or shape[1:] != (3, *size):
        raise ConfigError(
            f"calibration images have shape {shape}; int8 needs some clean training images "
            f"(batch, 3, {size[0]}, {size[1]}), float32 in [0,1]"
        )


def cores(threads: int) -> int:
    """``threads``, or of 0 all cores that this process may use.

    Raises:
        ConfigError: it is no number of threads.
    """
    require_number("threads", threads, 0, whole=True)
    if threads:
        return threads
    able = getattr(os, "sched_getaffinity", None)
    return len(able(0)) if able else os.cpu_count() or 1


def _groups(draws: int, images: int) -> Iterator[int]:
    """``draws`` in nearly equal groups, of as few shapes as can be: a graph that is compiled for
    a shape is compiled for two at most."""
    count = -(-draws // max(1, GROUP // images))
    for number in range(count):
        yield draws // count + (number < draws % count)
