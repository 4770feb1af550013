"""Lower bounds on the probability of a vote: how certain is it that the most frequent class wins?

``fixed``: Clopper and Pearson's bound of a number of votes that is settled beforehand (Cohen et
al. 2019, algorithm 1). ``anytime``: an e-process, whose bound holds at every number of votes at
once, so that voting may stop as soon as enough is known.

The e-process of "p <= p0" is the likelihood ratio of k successes in n against p0, averaged over the
alternatives q in (p0, 1] with equal weights (Robbins 1970):

    M(p0) = B(k+1, n-k+1) * I_{1-p0}(n-k+1, k+1) / ((1-p0) * p0^k * (1-p0)^(n-k)).

Under p <= p0 it is a supermartingale with mean at most 1, so that it ever reaches 1/alpha with
probability at most alpha (Ville 1939). Where k >= (n+1) p0 it falls as p0 rises, since
d log M / d p0 = (1 - 1/M) / (1-p0) - (k - n p0) / (p0 (1-p0)); elsewhere it is taken as zero. So
whoever certifies a large radius certifies the smaller ones too, and a ladder of radii needs no
correction.
"""

from __future__ import annotations

import math

from scipy.special import betainc, betaincinv, betaln, ndtr, ndtri

SLACK = 1e-9
"""Taken off every bound and added to every threshold: more than the functions' rounding errors, for
the numbers of votes that are allowed."""

MOST = 10_000_000
"""Largest number of votes for an image: beyond, ``SLACK`` has not been checked."""


def log_evidence(k: int, n: int, p0: float) -> float:
    """log M(p0) of ``k`` successes in ``n`` votes: the evidence that p > p0.

    It is minus infinity where k < (n+1) p0: there is little evidence there, the incomplete beta
    function underflows, and the module's derivative proves nothing.
    """
    if k < (n + 1) * p0:
        return -math.inf
    tail = float(betainc(n - k + 1, k + 1, 1 - p0))
    gained = float(betaln(k + 1, n - k + 1)) + math.log(tail)
    return gained - math.log1p(-p0) * (n - k + 1) - k * math.log(p0)


def certified(k: int, n: int, p0: float, alpha: float) -> bool:
    """Whether the evidence for p > p0 reaches 1 / alpha."""
    return log_evidence(k, n, p0) >= -math.log(alpha) + SLACK * max(1, n)


def refuted(k: int, n: int, p0: float, alpha: float) -> bool:
    """Whether the evidence for p < p0 reaches 1 / alpha: the mirror image."""
    return log_evidence(n - k, n, 1 - p0) >= -math.log(alpha) + SLACK * max(1, n)


def anytime_bound(k: int, n: int, alpha: float) -> float:
    """The largest p0 that the e-process certifies, rounded down; 0 where there is none."""
    low, high = 0.0, k / (n + 1)
    for _ in range(50 if k else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if certified(k, n, middle, alpha) else (low, middle)
    return low


def fixed_bound(k: int, n: int, alpha: float) -> float:
    """Clopper and Pearson's one-sided lower bound, rounded down."""
    if k == 0:
        return 0.0
    return max(0.0, float(betaincinv(k, n - k + 1, alpha)) * (1 - SLACK) - SLACK)


def threshold(radius: float, sigma: float, error: float) -> float:
    """The probability that certifies ``radius``: Phi(radius / sigma), rounded up, and the ``error``
    of the sampler on top."""
    return float(ndtr(radius / sigma)) + SLACK + error


def radius_of(bound: float, sigma: float, error: float) -> float:
    """The radius that a lower ``bound`` of the probability certifies (Cohen et al. 2019, theorem
    1, with the runner-up's probability at most 1 - bound), rounded down to a millionth; NaN where
    it certifies no decision at all."""
    sure = bound - error - SLACK
    if sure <= 0.5:
        return math.nan
    return math.floor(sigma * float(ndtri(sure)) * 1e6) / 1e6


def least_votes(p0: float, alpha: float, method: str) -> int:
    """The least number of votes that certifies p > p0 where every vote agrees."""
    if p0 >= 1:
        return MOST + 1
    if method == "fixed":
        votes = math.ceil(math.log(alpha) / math.log(p0))
        while votes <= MOST and fixed_bound(votes, votes, alpha) < p0:
            votes += 1
        return votes
    low, high = 0, 1
    while high <= MOST and not certified(high, high, p0, alpha):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if certified(middle, middle, p0, alpha) else (middle, high)
    return high


def largest_radius(votes: int, alpha: float, sigma: float, error: float, method: str) -> float:
    """The radius that ``votes`` certify where all agree."""
    bound = fixed_bound if method == "fixed" else anytime_bound
    found = radius_of(bound(votes, votes, alpha), sigma, error)
    return 0.0 if math.isnan(found) else found
