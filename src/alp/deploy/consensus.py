"""Sequential consensus: stop drawing once the remaining draws will not change the decision.

Deployed is the class with the highest mean logit over N draws. After n of them class a leads. The
lead over another class b has been observed n times, with the mean m and the standard deviation s;
the N - n draws to come would have to overturn it, by a mean below -m n / (N - n). With Gaussian
logits the difference of the two means is Student's t,

    T = (mean of the first n - mean of the rest) / (s sqrt(1/n + 1/(N - n))),   n - 1 degrees,

whatever mean and covariance (the prediction interval of Hahn 1970, J. Am. Stat. Assoc. 65), and
stopping early on it is stochastic curtailment (Lan, Simon and Halperin 1982, Commun. Stat. C 1).
The leader is declared when its T against every other class is above a boundary.

The boundary is constant over the looks on the normal scale (Pocock 1977, Biometrika 64): the law of
the largest T over all looks is free of mean and variance, and is simulated once, so that the test
is valid at whatever look it stops. All T depend on the deviations from the mean of the N draws
alone, which are independent of that mean, hence of the class w that the N draws elect: for a given
w the error is at most the sum over its K - 1 rivals, among which the level is shared out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp import seeding
from alp.config import check_types, positive
from alp.errors import ConfigError

Floats = NDArray[np.floating[Any]]

SIMULATED, BLOCK = 2**21, 2**16
"""Most simulated consensuses behind a boundary, and how many at a time."""

EVENTS = 1000
"""Simulated consensuses beyond the boundary that are aimed at."""

CONFIDENCE = 3.1
"""Standard errors that the simulated boundary lies on the safe side of: 99.9 %."""


@dataclass(frozen=True)
class Outcome:
    """What a consensus came to."""

    logits: Any
    """Mean logits over the draws that were made, (B,K), of the kind of the images."""
    draws: NDArray[np.int64]
    """Draws that each image took, (B,)."""


@dataclass(frozen=True)
class Consensus:
    """Mean logits over as many of ``draws`` draws as the decision takes.

    For each image the probability that the declared class is not the one that all ``draws`` draws
    elect is at most ``error``, if the logits of its draws are Gaussian: exactly so for any means
    and covariance, and reached only where two classes are tied. Averaged over images it is far
    less.

    Raises:
        ConfigError: a setting is no number of draws or no probability.
    """

    draws: int = 20
    """The budget: the decision to agree with, and what an undecided image takes."""
    first: int = 4
    """Draws before the first look."""
    group: int = 2
    """Draws between looks."""
    error: float = 0.05
    """The level: the largest probability of another decision than the budget's."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "draws", "group")
        if self.first < 2:
            raise ConfigError(
                f"Consensus.first is {self.first}; two draws at least have to tell how they scatter"
            )
        if not 0 < self.error < 1:
            raise ConfigError(f"Consensus.error is {self.error}; give a probability, such as 0.05")

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of draws after which there is a look, all below the budget."""
        return tuple(range(self.first, self.draws, self.group))

    def begin(self, images: int) -> Tally:
        """The count of a batch of ``images``, before the first draw."""
        return Tally(self, images)

    def boundary(self, classes: int) -> float:
        """The value, on the normal scale, that a lead has to reach against all other classes.

        Raises:
            ConfigError: ``error`` is too small for so many classes to be simulated.
        """
        return _boundary(self.draws, self.looks, self.error / max(1, classes - 1))


class Tally:
    """The draws of a batch so far: which images are undecided, and what comes next."""

    def __init__(self, consensus: Consensus, images: int) -> None:
        self.consensus = consensus
        self.rows = np.arange(images)
        """Images that are undecided."""
        self.draws = np.zeros(images, np.int64)
        """Draws that each image has taken."""
        self._seen: Floats | None = None

    @property
    def next(self) -> int:
        """Draws to make now of each undecided image."""
        rule, taken = self.consensus, 0 if self._seen is None else len(self._seen)
        return min(rule.group if taken else rule.first, rule.draws - taken)

    def count(self, logits: Floats) -> None:
        """Take ``next`` draws of the undecided images, (next, len(rows), K), and look."""
        now = logits.astype(np.float64)
        self._seen = now if self._seen is None else np.concatenate([self._seen, now])
        taken = len(self._seen)
        self.draws[self.rows] = taken
        if taken >= self.consensus.draws:
            done = np.ones(len(self.rows), bool)
        else:
            boundary = self.consensus.boundary(logits.shape[-1])
            done = evidence(self._seen, self.consensus.draws) >= boundary
        self.rows, self._seen = self.rows[~done], self._seen[:, ~done]


def evidence(seen: Floats, draws: int) -> Floats:
    """How sure the leader is to stay ahead of its closest rival, on the normal scale.

    Args:
        seen: logits of the first n draws, (n,B,K).
        draws: all draws of the budget.

    Returns:
        (B,); of a class that has no rival, or whose lead does not scatter, infinite.
    """
    taken = len(seen)
    leader = seen.mean(0).argmax(1)
    lead = np.take_along_axis(seen, leader[None, :, None], 2) - seen
    with np.errstate(divide="ignore", invalid="ignore"):
        t = lead.mean(0) * math.sqrt(draws * taken / (draws - taken)) / lead.std(0, ddof=1)
        normal = _normal_scale(t, taken - 1)
    np.put_along_axis(normal, leader[:, None], np.inf, 1)
    closest: Floats = normal.min(1)
    return closest


def _normal_scale(t: Floats, degrees: int) -> Floats:
    """Student's t as a standard normal, nearly (Wallace 1959, Ann. Math. Stat. 30, eq. 4.1); the
    boundary is simulated on the same scale, so that no validity hangs on it."""
    factor = (8 * degrees + 1) / (8 * degrees + 3)
    scaled: Floats = np.sign(t) * factor * np.sqrt(degrees * np.log1p(t * t / degrees))
    return scaled


@lru_cache(maxsize=64)
def _boundary(draws: int, looks: tuple[int, ...], level: float) -> float:
    """The value that the largest T of a pair of classes exceeds with probability ``level``."""
    if not looks:
        return math.inf
    wanted = min(SIMULATED, math.ceil(EVENTS / level))
    beyond = level * wanted - CONFIDENCE * math.sqrt(level * wanted)
    if beyond < 1:
        raise ConfigError(
            f"a level of {level:.2g} for each pair of classes is too small to be simulated; raise "
            "the error of the consensus, or make all draws"
        )
    random = np.random.default_rng(seeding.derive(0, "consensus", draws, *looks))
    largest = []
    for start in range(0, wanted, BLOCK):
        leads = random.standard_normal((draws, min(BLOCK, wanted - start)))
        sums, squares, total = leads.cumsum(0), (leads * leads).cumsum(0), leads.sum(0)
        over = np.full(leads.shape[1], -np.inf)
        for n in looks:
            mean, rest = sums[n - 1] / n, (total - sums[n - 1]) / (draws - n)
            scatter = np.sqrt((squares[n - 1] - n * mean * mean) / (n - 1))
            t = (mean - rest) / (scatter * math.sqrt(1 / n + 1 / (draws - n)))
            over = np.maximum(over, _normal_scale(t, n - 1))
        largest.append(over)
    values = np.sort(np.concatenate(largest))
    return float(values[-int(beyond)])
