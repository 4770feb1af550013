"""Bounds on the probability of a vote: their level under optional stopping, and their tightness."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from alp.defences.confidence import (
    MOST,
    anytime_bound,
    certified,
    fixed_bound,
    least_votes,
    log_evidence,
    radius_of,
    refuted,
    threshold,
)

ALPHA = 0.05


@pytest.mark.parametrize("p0", [0.5, 0.8413, 0.977])
@pytest.mark.parametrize("against", [False, True])
def test_the_level_holds_at_every_stopping_time(p0: float, against: bool) -> None:
    """The worst case for the test is p = p0, looked at after every vote; 4 standard errors."""
    trials, votes = 1000, 600
    generator = np.random.default_rng(1)
    crossed = np.zeros(trials, dtype=bool)
    decided = refuted if against else certified
    for trial in range(trials):
        successes = np.cumsum(generator.random(votes) < p0)
        # the evidence is largest where the share of successes is: only such votes are looked at
        for n in range(1, votes + 1, 3):
            if decided(int(successes[n - 1]), n, p0, ALPHA):
                crossed[trial] = True
                break
    rate = crossed.mean()
    assert rate <= ALPHA + 4 * math.sqrt(ALPHA * (1 - ALPHA) / trials)
    assert rate > 0  # it is a test that can reject


@pytest.mark.parametrize("p0", [0.5, 0.9])
@pytest.mark.parametrize("n", [1, 7, 40])
def test_the_evidence_has_mean_one_at_most(p0: float, n: int) -> None:
    """Exactly, over the binomial distribution: what makes it an e-value."""
    k = np.arange(n + 1)
    evidence = np.exp([log_evidence(int(each), n, p0) for each in k])
    assert float((binom.pmf(k, n, p0) * evidence).sum()) <= 1 + 1e-9


@given(n=st.integers(1, 200_000), share=st.floats(0, 1), p=st.floats(0.01, 0.98))
def test_the_evidence_falls_as_the_threshold_rises(n: int, share: float, p: float) -> None:
    k = round(share * n)
    low, high = log_evidence(k, n, p), log_evidence(k, n, p + 0.01)
    assert high <= low + 1e-6 * n


@given(n=st.integers(1, 100_000), share=st.floats(0, 1))
def test_the_bound_is_certified_and_nothing_above_it(n: int, share: float) -> None:
    k = round(share * n)
    bound = anytime_bound(k, n, 0.001)
    assert bound == 0 or certified(k, n, bound, 0.001)
    assert not certified(k, n, min(bound + 1e-6, 1 - 1e-12), 0.001)
    assert bound <= k / n


@pytest.mark.parametrize(("k", "n"), [(1, 1), (60, 128), (127, 128), (128, 128), (99_000, 100_000)])
def test_the_fixed_bound_is_clopper_and_pearsons(k: int, n: int) -> None:
    told = binomtest(k, n, alternative="greater").proportion_ci(0.999, "exact").low
    assert told - 1e-8 < fixed_bound(k, n, 0.001) < told


def test_no_votes_and_no_successes_prove_nothing() -> None:
    assert fixed_bound(0, 100, 0.001) == 0
    assert anytime_bound(0, 100, 0.001) == 0
    assert anytime_bound(0, 0, 0.001) == 0
    assert math.isnan(radius_of(0.5, 0.25, 0.0))


@pytest.mark.parametrize("method", ["fixed", "anytime"])
@pytest.mark.parametrize("radius", [0.0, 0.25, 0.5])
def test_the_least_votes_certify_and_one_less_does_not(radius: float, method: str) -> None:
    p0 = threshold(radius, 0.25, 0.0)
    votes = least_votes(p0, 0.001, method)
    bound = fixed_bound if method == "fixed" else anytime_bound
    assert bound(votes, votes, 0.001) >= p0 - 1e-9
    assert bound(votes - 1, votes - 1, 0.001) < p0


def test_a_radius_that_no_votes_certify() -> None:
    assert least_votes(threshold(2.0, 0.25, 0.0), 0.001, "anytime") > MOST


def test_radii_are_rounded_down() -> None:
    for bound in np.linspace(0.51, 0.9999, 200):
        radius = radius_of(float(bound), 0.25, 0.0)
        assert threshold(radius, 0.25, 0.0) <= bound
