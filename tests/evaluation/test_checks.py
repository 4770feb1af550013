"""What all checks have in common, and what they are made of."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from gallery_toys import (
    PROBES,
    SMOOTH,
    SUITE,
    Toy,
    X,
    Y,
    columns,
    finding,
    linear,
    numbers,
    scene,
    some_right,
)

from alp.attacks import L2, PGD, Linf
from alp.defences.adapters import FixedCallable, RandomCallable
from alp.evaluation.checks import CHECKS
from alp.evaluation.checks.base import excess, no_better, with_radius
from alp.evaluation.suites import Entry, Suite
from alp.records import worst


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_is_honest_with_honest_targets_and_with_json(name):
    check = CHECKS[name]()
    assert check.name == name
    for defence in (SMOOTH, FixedCallable(linear)):
        gradients, plain = check.cost(SUITE)
        assert gradients >= 0 <= plain
        if name == "black-box" or not check.applies(SUITE, defence):
            continue
        found = finding(name, defence)
        assert found.passed is True, found
        assert json.loads(json.dumps(asdict(found))) == asdict(found)
        assert math.isfinite(found.value)
        assert math.isfinite(found.bound)


@pytest.mark.parametrize("name", sorted(set(CHECKS) - {"black-box"}))
def test_work_counts_the_gradients_that_are_taken(name):
    asked = []

    def counted(x, noise):
        asked.append(x.requires_grad)
        return linear(x + 0.05 * noise)

    numbers(name, Toy(counted, draws=1))
    gradients, _ = CHECKS[name]().cost(SUITE)
    by_identity = PROBES.steps[0] * PROBES.draws if name == "bpda" else 0
    assert sum(asked) == gradients - by_identity


def test_each_has_its_section_on_the_page():
    page = (Path(__file__).parents[2] / "docs" / "checks.md").read_text()
    sections = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    assert sections[: len(CHECKS)] == list(CHECKS)


def test_which_checks_make_sense():
    random, plain = RandomCallable(linear), FixedCallable(linear)
    only = {name for name in CHECKS if not CHECKS[name]().applies(SUITE, plain)}
    assert only == {"draws", "direction", "bpda", "surrogate"}
    left_out = [name for name in CHECKS if not CHECKS[name]().applies(SUITE, random)]
    assert left_out == ["bpda", "surrogate"]
    white = Suite("white", (Entry("eot", PGD(1)),), (), 1, PROBES)
    assert not CHECKS["black-box"]().applies(white, SMOOTH)


def test_measuring_again_gives_the_same():
    for name in set(CHECKS) - {"black-box"}:
        first, again, other = (numbers(name, SMOOTH, seed=seed) for seed in (0, 0, 1))
        assert all(np.array_equal(first[key], again[key]) for key in first)
        if name == "direction":
            assert not np.array_equal(first["clean"], other["clean"])


# The scene


def test_points_of_one_purpose_meet_the_same_draws():
    noisy = scene(Toy(lambda x, noise: linear(x + noise)), evaluations=5)
    assert torch.equal(noisy.right(X, Y), noisy.right(X.clone(), Y))
    assert not torch.equal(noisy.right(X, Y), noisy.right(X, Y, "select"))


def test_a_frozen_target_is_deterministic_and_averages_logits():
    frozen = scene(SMOOTH).frozen("toy", X.device)
    assert torch.equal(frozen(X), frozen(X))
    noise = scene(SMOOTH).source("draw/toy", X.device)
    assert torch.allclose(frozen(X), SMOOTH.logits(X, noise, PROBES.draws).mean(0))


def test_tau_is_two_standard_errors_of_the_paired_difference():
    a, b = np.array([1, 0, 1, 0.5]), np.array([0, 0, 1, 1])
    mean, tau = excess(a, b)
    assert mean == 0.125
    assert tau == pytest.approx(2 * np.std([1, 0, 0, -0.5], ddof=1) / 2)
    assert excess(np.array([1]), np.array([0])) == (1, 0)


def test_the_pair_that_breaks_its_inequality_most_is_told():
    own = {"a": some_right(0.5), "b": some_right(0.4), "c": some_right(0.2)}
    named = {"a": "A", "b": "B", "c": "C"}
    found = no_better("toy", own, [("a", "b"), ("b", "c"), ("c", "a")], named)
    assert not found.passed
    assert found.value == pytest.approx(0.2)
    assert "B leaves 20.0 points more right than C" in found.words
    assert found.inequality == "accuracy(B) - accuracy(C) <= tau"


def test_a_threat_of_another_radius_is_of_the_same_norm():
    assert with_radius(Linf(0.1), 0.2) == Linf(0.2)
    assert with_radius(L2(0.1), 3.0) == L2(3.0)


# The worst case of several attacks


def test_the_worst_case_is_selected_and_judged_on_different_draws():
    record = columns(
        clean=([4, 4, 0, 3], [4, 3, 1, 2]), a=([2, 4, 1, -1], [3, 0, 0, -1]),
        b=([2, 1, 0, -1], [0, 2, 0, -1]),
    )  # fmt: skip
    # The last of several counts, and an attack that does no better than the clean image does not.
    assert worst(record, ["a", "b"], 4).tolist() == [0, 2 / 4, 1 / 4, 2 / 4]
    assert worst(record, ["b", "a"], 4).tolist() == [3 / 4, 2 / 4, 1 / 4, 2 / 4]
    assert worst(record, [], 4).tolist() == [4 / 4, 3 / 4, 1 / 4, 2 / 4]
