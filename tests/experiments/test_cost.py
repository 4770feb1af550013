"""The estimate that is told before hours of work."""

from __future__ import annotations

import re

from alp.experiments import EXPERIMENTS
from alp.experiments.protocol import Protocol
from alp.experiments.reproduce import EVALUATIONS, core_minutes, estimate


def test_every_experiment_but_curves_of_trainings_has_a_cost() -> None:
    assert set(EXPERIMENTS) - {"sigma"} <= set(EVALUATIONS)


def test_what_is_shared_is_counted_once() -> None:
    protocol = Protocol()
    alone = {name: core_minutes((name,), protocol) for name in EXPERIMENTS}
    assert core_minutes(tuple(EXPERIMENTS), protocol) < sum(alone.values()) / 2
    assert alone["sigma"] < alone["hierarchy"]
    assert alone["tsne"] == 61 + 15 + 2


def test_more_images_and_trials_cost_more() -> None:
    for name in ("reliability", "hierarchy"):
        few = core_minutes((name,), Protocol(trials=1, images=100))
        assert few < core_minutes((name,), Protocol(trials=2, images=100))
        assert few < core_minutes((name,), Protocol(trials=1, images=200))


def test_all_of_it_takes_under_three_hours_on_two_cores() -> None:
    words = estimate(tuple(EXPERIMENTS), Protocol())
    total, on_two = map(float, re.findall(r"(\d+\.\d) (?:core-)?hours", words))
    assert total / 2 == on_two or abs(total / 2 - on_two) < 0.1
    assert on_two < 3


def test_other_scales_have_none() -> None:
    assert estimate(("hierarchy",), Protocol(scale="smoke")) == ""
