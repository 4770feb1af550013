"""How many votes are cast on an image, and what they prove."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Self

from torch import Tensor

from alp.config import within
from alp.defences.confidence import (
    MOST,
    anytime_bound,
    certified,
    fixed_bound,
    largest_radius,
    least_votes,
    radius_of,
    refuted,
    threshold,
)
from alp.errors import ConfigError, choose

BLOCK = 128
"""Votes that are cast at a time. The base always sees this many images: with another number the
sums of a layer may be added in another order, which would make it another classifier."""


@dataclass(frozen=True)
class State:
    """What is known of an image."""

    selected: int
    """The class, by the votes of a block of its own."""
    votes: Tensor
    """Votes by class, int64 (K,)."""
    radius: float = math.nan
    """Largest radius certified so far; NaN for none."""
    refuted: float = math.inf
    """Smallest of the plan's radii for which there is evidence against the class."""

    @classmethod
    def start(cls, votes: Tensor) -> Self:
        """An image whose class is the most frequent of ``votes``, which count for nothing else:
        the bound is on a class that was settled before its own votes were cast."""
        return cls(int(votes.argmax()), votes.new_zeros(votes.shape))

    @property
    def draws(self) -> int:
        """Votes cast, without those of the selection."""
        return int(self.votes.sum())


@dataclass(frozen=True)
class SamplingPlan:
    """What has to be decided of each image, with which certainty, by how many votes."""

    radii: tuple[float, ...] = (0.0, 0.25, 0.5)
    """L2 radii on images in [0,1], rising."""
    alpha: float = 0.001
    """Largest probability that the certificate of an image is wrong."""
    budget: int = 20_000
    """Most votes for an image, rounded up to whole blocks of 128."""
    method: Literal["anytime", "fixed"] = "anytime"
    """anytime: stop as soon as each radius is certified or refuted, or the budget is spent (the
    e-process of confidence.py); fixed: all votes, then Clopper and Pearson's bound."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "radii", tuple(float(each) for each in self.radii))
        rising = all(low < high for low, high in pairwise((-1e-300, *self.radii, math.inf)))
        if not self.radii or not rising:
            raise ConfigError(
                f"radii are {self.radii}; give numbers from 0 upwards, each above the one before"
            )
        within(self, 1e-9, 0.3, "alpha")
        within(self, 1, MOST, "budget")
        choose({"anytime": 0, "fixed": 0}, self.method, "method")

    @property
    def blocks(self) -> int:
        """Blocks of votes that the budget pays."""
        return math.ceil(self.budget / BLOCK)

    def require_possible(self, sigma: float, error: float) -> None:
        """Refuse a plan under which every image would abstain at one of its radii.

        Args:
            sigma: the noise level.
            error: of the sampler, in the probability of a vote.

        Raises:
            ConfigError: it is such a plan; the message names the votes that would do.
        """
        votes = self.blocks * BLOCK
        for radius in self.radii:
            needed = least_votes(threshold(radius, sigma, error), self.alpha, self.method)
            if needed > MOST:
                most = largest_radius(MOST, self.alpha, sigma, error, self.method)
                raise ConfigError(
                    f"no number of votes certifies the radius {radius:g} at sigma {sigma:g}; give "
                    f"radii up to {math.floor(100 * most) / 100:g}, or a larger sigma"
                )
            if needed > votes:
                most = largest_radius(votes, self.alpha, sigma, error, self.method)
                raise ConfigError(
                    f"a budget of {self.budget:,} votes cannot certify the radius {radius:g} at "
                    f"sigma {sigma:g} and alpha {self.alpha:g}, even if all agree; give a budget "
                    f"of {needed:,} or more, or radii up to {math.floor(1000 * most) / 1000:g}"
                )

    def decided(self, state: State) -> bool:
        """Whether each radius is certified or refuted, before the budget is spent or with it."""
        return self.method == "anytime" and all(
            state.radius >= each or state.refuted <= each for each in self.radii
        )

    def settled(self, state: State) -> bool:
        """Whether an image gets no more votes."""
        return self.decided(state) or state.draws >= self.blocks * BLOCK

    def updated(self, state: State, votes: Tensor, sigma: float, error: float) -> State:
        """The state after a block of ``votes`` by class, int64 (K,). What is certified or refuted
        stays so: the e-process holds at all numbers of votes at once."""
        total = state.votes + votes
        k, n = int(total[state.selected]), int(total.sum())
        after = replace(state, votes=total)
        if self.method == "fixed":
            if n < self.blocks * BLOCK:
                return after
            found = radius_of(fixed_bound(k, n, self.alpha), sigma, error)
            return replace(after, radius=found)
        found = radius_of(anytime_bound(k, n, self.alpha), sigma, error)
        needed = {each: threshold(each, sigma, error) for each in self.radii}
        # a radius of the ladder that is certified outright is not lost to rounding down
        ladder = [each for each, p in needed.items() if certified(k, n, p, self.alpha)]
        against = [each for each, p in needed.items() if refuted(k, n, p, self.alpha)]
        known = [each for each in (state.radius, found, *ladder) if not math.isnan(each)]
        return replace(
            after,
            radius=max(known, default=math.nan),
            refuted=min(state.refuted, *against, math.inf),
        )
