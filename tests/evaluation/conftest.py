"""A subject small enough to reason about: a linear classifier behind additive noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from alp import seeding
from alp.data.images import Images

SIDE = 12
CLASSES = 3


@dataclass
class LinearSubject:
    """``bare`` is linear; ``purify`` adds noise of ``sigma`` (0: undefended)."""

    weight: torch.Tensor
    sigma: float = 0.0
    draws: int = 4
    views: frozenset[str] = frozenset({"bare", "masked", "bpda", "purify"})
    seeds: dict[str, list[int]] = field(default_factory=dict)

    @property
    def stochastic(self) -> bool:
        return self.sigma > 0

    def bare(self, x):
        return x.flatten(1) @ self.weight

    def purify(self, x, source):
        self.seeds.setdefault("purify", []).append(source.initial_seed())
        return x + self.sigma * seeding.normal(x.shape, source) if self.stochastic else x

    def sample(self, x, source, draws):
        generator = getattr(source, "generator", source)
        self.seeds.setdefault("sample", []).append(generator.initial_seed())
        noise = (seeding.normal(x.shape, source).to(x) for _ in range(draws))
        return torch.stack([self.bare(x + self.sigma * each) for each in noise])

    def masked(self, x, source, draws):
        return self.sample(x, source, draws).detach()

    bpda = sample

    def predict(self, x, source):
        self.seeds.setdefault("predict", []).append(source.initial_seed())
        return self.sample(x, source, self.draws).mean(0)


@pytest.fixture
def weight():
    source = seeding.generator(0, "test-weight")
    return seeding.normal((3 * SIDE * SIDE, CLASSES), source) / 10


@pytest.fixture
def undefended(weight):
    return LinearSubject(weight, draws=1)


@pytest.fixture
def defended(weight):
    return LinearSubject(weight, sigma=0.05)


@pytest.fixture
def images(weight):
    """50 images away from black and white, labelled by the bare classifier."""
    pixels = 64 + 128 * seeding.uniform((50, 3, SIDE, SIDE), seeding.generator(0, "test-pixels"))
    pixels = pixels.to(torch.uint8)
    labels = (pixels.float().div(255).flatten(1) @ weight).argmax(1)
    return Images.of(pixels, labels, ["a", "b", "c"], "toy", "test")
