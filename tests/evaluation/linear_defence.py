"""A defence small enough to reason about: a linear classifier behind additive noise."""

from __future__ import annotations

import torch
from torch import Tensor

from alp import seeding
from alp.defences.base import Defence


class LinearDefence(Defence):
    """``bare`` is linear; ``purify`` adds noise of ``sigma`` (0: undefended). It remembers the
    seeds of the generators that it is given."""

    capabilities = frozenset({"bare", "masked", "bpda", "purify"})

    def __init__(self, weight: Tensor, sigma: float = 0.0, draws: int = 4) -> None:
        super().__init__()
        self.weight, self.level, self.draws = weight, sigma, draws
        self.seeds: dict[str, list[int]] = {}
        self.eval()

    @property
    def stochastic(self) -> bool:
        return self.level > 0

    def bare(self, x):
        return x.flatten(1) @ self.weight

    def purify(self, x, source):
        self.seeds.setdefault("purify", []).append(source.initial_seed())
        return x + self.level * seeding.normal(x.shape, source) if self.stochastic else x

    def sample(self, state, source, draws):
        noise = (seeding.normal(state.shape, source).to(state) for _ in range(draws))
        return torch.stack([self.bare(state + self.level * each) for each in noise])

    def logits(self, x, source, draws):
        generator = getattr(source, "generator", source)
        self.seeds.setdefault("logits", []).append(generator.initial_seed())
        return super().logits(x, source, draws)

    def masked(self, x, source, draws):
        return self.logits(x, source, draws).detach()

    bpda = logits

    def predict(self, x, source, draws):
        self.seeds.setdefault("predict", []).append(source.initial_seed())
        return super().predict(x, source, draws)
