"""What a budget buys, and what is made of it when the machine turns out to be slower."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from alp.defences.plan import SamplingPlan
from alp.errors import CheckpointError, ConfigError
from alp.protection.measure import Rates
from alp.protection.plan import (
    FAR_VOTES,
    LATER_CERTIFIED,
    LEAST,
    MOST,
    NAMES,
    SIGMA,
    STEPS,
    Training,
    judged,
    planned,
)
from alp.protection.schedule import Schedule

RATES = Rates(2.0, 0.02, 0.1, 0.001, ((2.0, 2**31), (2.0, 32)))
"""A machine on which an image is judged in four seconds, from the 33rd on in two."""


def test_a_plan_fills_the_budget() -> None:
    for budget in (300.0, 900.0, 1300.0):
        plan, seconds = planned(RATES, budget, budget, 2000, 500)
        before = sum(seconds[name] for name in NAMES[:-1])
        images, checked, last = judged(RATES, budget - before, 500)
        assert checked
        assert 0.95 * budget < before + last <= 1.02 * budget
        assert LEAST < images < MOST
        assert plan.defending.seen(2000) * 0.1 == pytest.approx(0.4 * budget, rel=0.1)


def test_judging_counts_the_tasks_that_look_at_the_first_images_alone() -> None:
    assert RATES.judged(32) == 128
    assert RATES.judged(100) == 264
    assert judged(RATES, 2 + 264, 500) == (100, True, 266)
    assert judged(RATES, 2 + 263, 500)[0] == 99


def test_a_budget_that_is_too_short_buys_the_least() -> None:
    plan, seconds = planned(RATES, 1.0, 1.0, 2000, 500)
    assert plan.adapting == plan.defending == Training(8, 1 / 250)
    assert plan.left_out == {"certify"}
    assert judged(RATES, -5.0, 500) == (LEAST, False, 2 + 2 * LEAST)
    assert sum(seconds.values()) > 1


def test_a_heavy_classifier_is_attacked_without_checks_before_it_is_not_attacked() -> None:
    """Checks of 2 images take 8 seconds, their attacks alone 4."""
    assert judged(RATES, 2 + 8, 500) == (2, True, 10)
    assert judged(RATES, 2 + 7, 500) == (3, False, 8)
    assert judged(RATES, 2 + 3, 500) == (2, False, 6)


def test_certificates_of_a_heavy_classifier_are_few_or_left_to_a_later_command() -> None:
    slow = replace(RATES, voting=0.25)  # 2 images of 256 votes take 130 seconds with reading
    some, seconds = planned(slow, 700.0, 700.0, 2000, 500)
    assert (some.certified, some.votes, some.radii) == (2, 128, (0.0, SIGMA))
    assert seconds["certify"] == 2 + 2 * 256 * 0.25
    none, seconds = planned(slow, 600.0, 600.0, 2000, 500)
    assert (none.certified, seconds["certify"]) == (0, 0.0)
    later = none.whole()
    assert (later.certified, later.votes, later.checked) == (LATER_CERTIFIED, FAR_VOTES, True)
    assert later.radii == (0.0, SIGMA, 2 * SIGMA)


def test_the_votes_of_a_plan_can_prove_its_radii() -> None:
    for votes in (128, 256, 384, 512, 1024):
        plan = replace(planned(RATES, 900.0, 900.0, 2000, 500)[0], votes=votes)
        SamplingPlan(radii=plan.radii, budget=votes).require_possible(plan.sigma, 0.0)


def test_trainings_get_their_share_where_the_rest_takes_longer() -> None:
    slow = replace(RATES, judging=((200.0, 2**31),))
    plan, _ = planned(slow, 400.0, 400.0, 2000, 500)
    assert plan.defending.seen(2000) * 0.1 == pytest.approx(0.8 * 0.25 * 400, rel=0.1)


def test_votes_come_before_images() -> None:
    assert planned(RATES, 40.0, 40.0, 2000, 500)[0].votes == 384
    plan = planned(RATES, 100.0, 100.0, 2000, 500)[0]
    assert (plan.votes, plan.certified) == (1024, 5)


def test_few_pictures_are_no_obstacle() -> None:
    plan, _ = planned(RATES, 600.0, 600.0, 6, 3)
    assert plan.defending.batch_size == 6
    assert plan.certified == 3
    assert judged(RATES, 600.0, 3)[0] == 3


def test_batches_are_small_where_steps_are_slow() -> None:
    assert Training.within(3000, 0.1, 2000).batch_size == 64
    slow = Training.within(60, 0.1, 2000)
    assert slow.batch_size == 16
    assert slow.seen(2000) / 16 >= STEPS


def test_no_training_learns_the_pictures_by_heart() -> None:
    assert Training.within(1e6, 0.001, 500).epochs <= 100


def opened(folder, budget: float = 900.0, **asked) -> Schedule:
    return Schedule(folder, {"seed": 0, **asked}, budget, (2000, 500), lambda: (RATES, 5.0))


def take(schedule: Schedule, name: str, times: float) -> None:
    """Begin a step, and take so many times the planned seconds."""
    schedule.begin(name, lambda: RATES.judging)
    schedule.done(name, times * schedule.seconds[name])


def train(folder, slower: float) -> None:
    """What the purifier's training leaves."""
    (folder / "purifier").mkdir()
    told = {"images_per_second": 1 / (slower * RATES.adapting)}
    (folder / "purifier" / "training.json").write_text(json.dumps(told))


@pytest.mark.parametrize("slower", [0.7, 1.0, 1.6])
def test_a_machine_that_changes_its_pace_keeps_to_the_budget(tmp_path, slower: float) -> None:
    schedule = opened(tmp_path)
    first = schedule.plan
    assert schedule.total == pytest.approx(900, rel=0.05)
    train(tmp_path, slower)
    for name in NAMES:
        # What is planned after the purifier knows the pace; the rest is as measured.
        times = {"purifier": slower, "defence": 1.0}.get(name, 1.0 if name == "judge" else slower)
        take(schedule, name, times)
    assert schedule.total == pytest.approx(900, rel=0.05)
    if slower == 1.6:
        assert schedule.plan.defending.epochs < first.defending.epochs
        assert schedule.plan.judged < first.judged


def test_a_training_too_slow_for_its_record_is_planned_nevertheless(tmp_path) -> None:
    schedule = opened(tmp_path)
    (tmp_path / "purifier").mkdir()
    (tmp_path / "purifier" / "training.json").write_text('{"images_per_second": 0.0}')
    schedule.begin("defence", lambda: RATES.judging)
    assert schedule.plan.defending.batch_size == 8


def test_an_interrupted_protection_keeps_its_plan(tmp_path) -> None:
    schedule = opened(tmp_path)
    schedule.begin("purifier", lambda: RATES.judging)
    again = opened(tmp_path)
    assert again.plan == schedule.plan
    assert again.seconds == schedule.seconds
    take(again, "purifier", 3.0)
    kept = again.plan
    train(tmp_path, 3.0)
    again.begin("defence", lambda: RATES.judging)
    assert again.plan != kept
    assert opened(tmp_path).plan == again.plan


def test_the_judging_is_measured_again(tmp_path) -> None:
    schedule = opened(tmp_path)
    images = schedule.plan.judged
    schedule.begin("judge", lambda: tuple((3 * each, most) for each, most in RATES.judging))
    assert schedule.plan.judged < images


def test_another_protection_is_refused(tmp_path) -> None:
    opened(tmp_path)
    with pytest.raises(ConfigError, match="another seed, eps"):
        opened(tmp_path, eps=0.1, seed=1)


@pytest.mark.parametrize("damage", ["rates", "plan", "seconds", "begun"])
def test_a_damaged_plan_is_named(tmp_path, damage: str) -> None:
    opened(tmp_path)
    path = tmp_path / "plan.json"
    held = json.loads(path.read_text())
    del held[damage]
    path.write_text(json.dumps(held))
    with pytest.raises(CheckpointError, match=r"plan\.json is damaged"):
        opened(tmp_path)


def test_the_rates_are_kept(tmp_path) -> None:
    opened(tmp_path)
    held = json.loads((tmp_path / "plan.json").read_text())["rates"]
    assert held == json.loads(json.dumps(asdict(RATES)))
