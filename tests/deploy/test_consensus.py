"""The sequential consensus: how often it errs, and when it stops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from alp.deploy.consensus import Consensus, evidence
from alp.errors import ConfigError

pytestmark = pytest.mark.slow

SCHEDULES = [Consensus(), Consensus(draws=12, first=2, group=1), Consensus(20, 5, 5, 0.02)]


def decided(rule: Consensus, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Declared classes and draws of images whose every draw is given, (draws,B,K)."""
    tally, total = rule.begin(logits.shape[1]), np.zeros(logits.shape[1:])
    while len(tally.rows):
        taken = tally.draws[tally.rows[0]]
        rows, now = tally.rows, tally.next
        total[rows] += logits[taken : taken + now, rows].sum(0)
        tally.count(logits[taken : taken + now, rows])
    return total.argmax(1), tally.draws


def gaussian(seed: int, draws: int, images: int, classes: int, spread: float) -> np.ndarray:
    """Logits with a mean and a covariance of their own for every image."""
    random = np.random.default_rng(seed)
    mean = spread * random.standard_normal((images, classes))
    mixing = random.standard_normal((images, classes, classes)) * random.gamma(1, size=classes)
    noise = random.standard_normal((draws, images, classes))
    return mean + np.einsum("nbk,bjk->nbj", noise, mixing)


@pytest.mark.parametrize("rule", SCHEDULES, ids=str)
@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0])
def test_another_decision_is_rarer_than_the_level(rule, classes, spread) -> None:
    logits = gaussian(classes, rule.draws, 20_000, classes, spread)
    declared, _ = decided(rule, logits)
    wrong = (declared != logits.mean(0).argmax(1)).mean()
    assert wrong <= rule.error + 3 * np.sqrt(rule.error / 20_000)


@pytest.mark.parametrize("rule", SCHEDULES, ids=str)
def test_the_level_is_reached_where_two_classes_are_tied(rule) -> None:
    """All draws elect class 0 by next to nothing: the hardest case, and no level to spare."""
    noise = np.random.default_rng(0).standard_normal((rule.draws, 100_000, 2))
    noise -= noise.mean(0) - [1e-9, 0]
    declared, _ = decided(rule, noise)
    assert 0.8 * rule.error < declared.mean() < rule.error


@pytest.mark.parametrize("rule", SCHEDULES, ids=str)
@pytest.mark.parametrize("classes", [2, 10])
def test_the_boundary_lies_between_one_look_and_bonferroni(rule, classes) -> None:
    level = rule.error / (classes - 1)
    low, high = (stats.norm.isf(level / looks) for looks in (1, len(rule.looks)))
    assert low < rule.boundary(classes) < high + 0.1


def test_the_evidence_is_the_tail_of_a_prediction_interval() -> None:
    """Against scipy's t: a lead of two classes whose remaining draws would have to overturn it."""
    lead = np.array([0.3, 1.1, 0.2, 0.9, 0.4])
    seen = np.stack([lead, np.zeros(5)], 1)[:, None]
    rest = -lead.mean() * 5 / 15
    t = (lead.mean() - rest) / (lead.std(ddof=1) * np.sqrt(1 / 5 + 1 / 15))
    assert evidence(seen, 20)[0] == pytest.approx(stats.norm.isf(stats.t.sf(t, 4)), abs=0.02)


def test_undecided_images_take_the_whole_budget() -> None:
    rule, logits = Consensus(error=1e-3), gaussian(0, 20, 200, 10, 0.0)
    declared, draws = decided(rule, logits)
    full = draws == 20
    assert full.mean() > 0.5
    assert (declared[full] == logits.mean(0).argmax(1)[full]).all()


def test_clear_leads_stop_at_the_first_look() -> None:
    logits = gaussian(0, 20, 50, 10, 0.0) + 1000 * np.eye(10)[3]
    declared, draws = decided(Consensus(), logits)
    assert (declared == 3).all()
    assert (draws == Consensus().first).all()


def test_a_lead_that_does_not_scatter_is_decided_and_a_tie_is_not() -> None:
    logits = np.zeros((20, 2, 3))
    logits[:, 0, 1] = 1
    _, draws = decided(Consensus(), logits)
    assert draws.tolist() == [4, 20]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.lists(st.integers(0, 7), min_size=1, max_size=12),
    spread=st.sampled_from([0.0, 1.0, 5.0]),
)
def test_an_image_does_not_depend_on_its_batch(seed: int, rows: list[int], spread: float) -> None:
    logits = gaussian(seed, 20, 8, 4, spread)
    classes, draws = decided(Consensus(), logits)
    some, took = decided(Consensus(), logits[:, rows])
    assert (some == classes[rows]).all()
    assert (took == draws[rows]).all()


@settings(max_examples=30, deadline=None)
@given(draws=st.integers(1, 25), first=st.integers(2, 8), group=st.integers(1, 8))
def test_no_more_than_the_budget_and_only_at_looks(draws: int, first: int, group: int) -> None:
    rule = Consensus(draws, first, group, 0.3)
    _, took = decided(rule, gaussian(1, draws, 30, 3, 3.0))
    assert set(took) <= {*rule.looks, draws}


def test_easier_levels_take_fewer_draws() -> None:
    logits = gaussian(2, 20, 2000, 10, 10.0)
    means = [decided(Consensus(error=error), logits)[1].mean() for error in (0.005, 0.05, 0.5)]
    assert means[0] > means[1] > means[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draws": 0}, "draws is 0"),
        ({"group": 0}, "group is 0"),
        ({"first": 1}, "two draws at least"),
        ({"error": 0}, "give a probability"),
        ({"error": 1.0}, "give a probability"),
        ({"draws": 2.5}, "whole number"),
    ],
)
def test_settings_that_cannot_be_used(changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        Consensus(**changes)


def test_a_level_that_nobody_can_simulate_is_refused() -> None:
    with pytest.raises(ConfigError, match="raise the error"):
        Consensus(error=1e-9).boundary(10)
