"""The estimate that is told before hours of work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alp.errors import ConfigError
from alp.experiments import EXPERIMENTS
from alp.experiments.cost import EVALUATIONS, TRIAL, VARIANTS, core_minutes, estimate
from alp.experiments.protocol import Protocol


def test_every_experiment_but_curves_of_trainings_has_a_cost() -> None:
    assert set(EXPERIMENTS) - {"sigma"} <= set(EVALUATIONS) | set(VARIANTS)


def test_what_is_shared_is_counted_once(tmp_path: Path) -> None:
    protocol = Protocol()
    alone = {name: core_minutes((name,), protocol, tmp_path) for name in EXPERIMENTS}
    assert core_minutes(tuple(EXPERIMENTS), protocol, tmp_path) < sum(alone.values()) / 2
    assert alone["sigma"] < alone["hierarchy"]
    assert alone["tsne"] == sum(TRIAL.values()) + 2


def test_more_images_and_trials_cost_more(tmp_path: Path) -> None:
    for name in ("reliability", "hierarchy"):
        few = core_minutes((name,), Protocol(trials=1, images=100), tmp_path)
        assert few < core_minutes((name,), Protocol(trials=2, images=100), tmp_path)
        assert few < core_minutes((name,), Protocol(trials=1, images=200), tmp_path)


def test_table_ii_of_five_trials_and_all_else_of_one_take_under_four_hours_on_two_cores_each(
    tmp_path: Path,
) -> None:
    for names, trials in ((("hierarchy", "reliability"), 5), (tuple(EXPERIMENTS), 1)):
        words = estimate(names, Protocol(trials=trials), tmp_path)
        total, on_two = map(float, re.findall(r"(\d+\.\d) (?:core-)?hours", words))
        assert total / 2 == on_two or abs(total / 2 - on_two) < 0.1
        assert on_two < 4


def test_other_scales_have_none(tmp_path: Path) -> None:
    assert estimate(("hierarchy",), Protocol(scale="smoke"), tmp_path) == ""


def test_what_is_there_is_not_counted(tmp_path: Path) -> None:
    protocol = Protocol()
    every = core_minutes(("tradeoff",), protocol, tmp_path)
    models = [f"{name}-0" for name in TRIAL]
    left = [every]
    for place in models:
        (tmp_path / "models" / place).mkdir(parents=True)
        (tmp_path / "models" / place / "weights.safetensors").touch()
        left.append(core_minutes(("tradeoff",), protocol, tmp_path))
    assert left == sorted(left, reverse=True)
    assert left[-1] == 8
    assert estimate(("tradeoff",), protocol, tmp_path) == (
        "about 8 core-minutes of work that is not begun"
    )
    (tmp_path / "tradeoff" / "records").mkdir(parents=True)
    (tmp_path / "tradeoff" / "records" / "point.json").touch()
    assert core_minutes(("tradeoff",), protocol, tmp_path) == 0


def test_packaged_weights_are_not_counted(tmp_path: Path) -> None:
    every = core_minutes(("tsne",), Protocol(trials=1), tmp_path)
    given = core_minutes(("tsne",), Protocol(trials=1, weights="cifar10-lite"), tmp_path)
    assert (every, given) == (sum(TRIAL.values()) + 2, 2)
    several = core_minutes(("tsne",), Protocol(weights="cifar10-lite"), tmp_path)
    assert several == TRIAL["defended"] + 2  # the packaged one is no trial of the same recipe


@pytest.mark.parametrize("weights", ["cifar10-light", "nowhere/weights", "."])
def test_weights_that_do_not_exist_are_refused_before_a_training(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"the weights are '{weights}'.* one of: .*cifar10-lite"):
        core_minutes(("tsne",), Protocol(trials=1, weights=weights), tmp_path)
