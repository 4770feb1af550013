"""The suite of attackers who only ask: what is counted, what is judged, and what is left."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from linear_defence import LinearDefence

import alp
from alp import seeding
from alp.attacks import NES, Linf, RayS, Square
from alp.errors import ConfigError
from alp.evaluation import About, EvalConfig, Queries, evaluate
from alp.evaluation.adaptive import CleanTask
from alp.evaluation.askers import Asker, askers
from alp.evaluation.asking import AskingTask, Questions
from alp.evaluation.tasks import Context
from alp.records import write
from alp.records.queries import left_by

pytestmark = pytest.mark.slow

EPS = 0.02
ABOUT = About("toy", draws=4, sigma=0.05, weights={"model": "ab"})


class Noted(LinearDefence):
    """Notes the generator and the number of images of every deployed answer."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.answered: list[tuple[int, int]] = []

    def predict(self, x, source, draws):
        self.answered.append((source.initial_seed(), len(x)))
        return super().predict(x, source, draws)


def small(budget: int, **changes) -> Queries:
    return Queries(budget, answers=(1, 3), evaluations=2, **changes)


def task_of(context: Context, suite: Queries, asker: Asker) -> AskingTask:
    return AskingTask(context, asker, suite.checkpoints, suite.evaluations)


def ran(defence, images, budget: int, name: str, eps: float = EPS, surrogates=None):
    """The columns of one attacker on all images, with the clean task's."""
    context = Context(defence, surrogates or {}, Linf(eps), 0)
    suite = small(budget).fitted(context, "linf", 3)
    (asker,) = [each for each in suite.attackers if each.name == name]
    x, y = images.batch(torch.arange(len(images)))
    clean = CleanTask(context, suite).run(x, y, 0, [])
    return (
        asker,
        clean,
        AskingTask(context, asker, suite.checkpoints, suite.evaluations).run(x, y, 0, [clean]),
    )


def test_every_attacker_comes_with_every_number_of_answers() -> None:
    random = [each.name for each in askers(True, (1, 3), 60, ("public",))]
    assert random == [
        *("square x1", "square x3", "square once x1", "nes x1", "nes x3", "spsa x1", "spsa x3"),
        *("rays x1", "rays x3", "square x1 from public", "square x3 from public"),
        *("rays x1 from public", "rays x3 from public"),
    ]
    alone = [each.name for each in askers(False, (1,), 60, ())]
    assert alone == ["square x1", "nes x1", "spsa x1", "rays x1"]


@pytest.mark.parametrize("budget", [10, 11, 59, 60, 61, 130])
def test_an_attacker_pays_what_is_counted_and_never_more(weight, images, budget) -> None:
    """Both sides of the budget: no answer above it, and less than a step of answers below."""
    few = images.take(6)
    # so small a radius that no image is decided
    for asker in askers(True, (1, 3), budget, ("public",)):
        defence = Noted(weight, sigma=0.002)
        public = {"public": LinearDefence(weight, draws=1)}
        context = Context(defence, public, Linf(1e-6), 0)
        suite = small(budget).fitted(context, "linf", 3)
        x, y = few.batch(torch.arange(len(few)))
        clean = {"clean_select": np.full(len(few), 2)}
        part = task_of(context, suite, asker).run(x, y, 0, [clean])
        own = seeding.derive(0, f"draw/{asker.name}", 0)
        counted = sum(rows for seed, rows in defence.answered if seed == own)
        asked = part[f"{asker.name}_asked"]
        assert asked.tolist() == [asker.cost] * len(few)
        assert counted == asked.sum()
        step = {"nes": 20, "spsa": 20, "square": 2}.get(asker.label.split(" from")[0], 1)
        assert budget - (step + 1) * asker.answers < asker.cost <= budget


def test_who_judges_is_never_met_by_who_asks(weight, images) -> None:
    defence = Noted(weight, sigma=0.05)
    for name in ("square x3", "rays x1"):
        ran(defence, images, 60, name)
    asking = {seeding.derive(0, f"draw/{name}", 0) for name in ("square x3", "rays x1")}
    seeds = {seed for seed, _ in defence.answered}
    assert asking < seeds
    marks = (0, 10, 30, 60)
    judging = {
        seeding.derive(0, f"judge/{part}/{name} {mark}/{number}", 0)
        for part in ("select", "fresh")
        for name in ("square x3", "rays x1")
        for mark in marks
        for number in range(2)
    }
    clean = {
        seeding.derive(0, f"judge/{part}/clean/{n}", 0)
        for part in ("select", "fresh")
        for n in "01"
    }
    assert seeds - asking <= judging | clean
    assert not asking & judging


def test_decided_images_are_asked_about_no_longer(weight, images) -> None:
    defence = Noted(weight, sigma=0.05)
    asker, _, part = ran(defence, images, 130, "square x1", eps=0.05)
    queries, asked = part["square x1_queries"], part["square x1_asked"]
    own = seeding.derive(0, "draw/square x1", 0)
    rows = [count for seed, count in defence.answered if seed == own]
    assert sum(rows) == asked.sum()
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] < rows[0]
    decided = queries > 0
    assert decided.any()
    # a step that passes a checkpoint has been asked about before the point at it is judged
    assert (asked[decided] <= queries[decided] + 2 * asker.answers).all()
    for mark, after in ((10, 30), (30, 100), (100, 130)):
        here = queries == mark
        assert (part[f"square x1 {mark}_select"][here] == 0).all()
        assert (part[f"square x1 {after}_select"][here] == -1).all()
        assert (part[f"square x1 {after}_select"][queries == -1] > 0).all()


NEAR = {"square x1": 0.5, "nes x1": 0.5, "spsa x1": 0.5, "rays x1": 0.2}
"""Share of the radius within which an attacker fools every image by 1,000 questions; blocks of
signs tell little about weights that are independent from pixel to pixel."""


@pytest.mark.parametrize("name", NEAR)
def test_on_a_linear_model_what_is_left_is_bounded_by_the_radius(name, weight, images) -> None:
    """An image is fooled only if its boundary is within eps: min over classes of margin/||w||_1."""
    defence = LinearDefence(weight, draws=1)
    x, y = images.batch(torch.arange(len(images)))
    logits = defence.bare(x)
    margins = logits.gather(1, y[:, None]) - logits
    slopes = (weight.T[y][:, None] - weight.T[None]).abs().sum(2)
    radius = (margins / slopes).masked_fill(margins == 0, torch.inf).amin(1).numpy()
    eps = float(np.median(radius))
    _, _, part = ran(defence, images, 1000, name, eps=eps)
    fooled = part[f"{name}_queries"] >= 0
    assert not fooled[radius > eps].any()
    near = radius < NEAR[name] * eps
    assert near.any()
    assert fooled[near].all()
    assert part[f"{name}_distance"].max() <= eps + 1e-6


def test_a_start_that_fools_the_same_model_needs_no_question(weight, images) -> None:
    public = {"public": LinearDefence(weight, draws=1)}
    defence = LinearDefence(weight, sigma=0.001)
    for name in ("square x3 from public", "rays x1 from public"):
        _, _, part = ran(defence, images, 60, name, eps=0.2, surrogates=public)
        assert (part[f"{name}_queries"] == 0).all()
        assert (part[f"{name}_asked"] <= 2 * 3).all()


def test_labels_are_votes_and_scores_are_means() -> None:
    weight = torch.eye(48, 3) * 10
    x = torch.rand(4, 3, 4, 4, generator=seeding.generator(0, "x"))
    y = torch.zeros(4, dtype=torch.long)
    defence = LinearDefence(weight, sigma=0.3, draws=1)
    votes, mean = (
        Questions(defence, y, seeding.generator(0, "noise"), 8, labels)(x)
        for labels in (True, False)
    )
    source = seeding.generator(0, "noise")
    answers = torch.stack([defence(x, source) for _ in range(8)])
    assert torch.equal(mean, answers.mean(0))
    shares = torch.stack([(answers.argmax(2) == k).float().mean(0) for k in range(3)], 1)
    assert torch.equal(votes, shares)
    assert set((8 * votes).flatten().tolist()) > {0.0, 8.0}


def test_closed_images_cost_nothing_and_answer_zeros(weight) -> None:
    defence = Noted(weight, sigma=0.05)
    questions = Questions(defence, torch.zeros(4).long(), seeding.generator(0, "n"), 2, False)
    questions.open[1:3] = False
    answer = questions(torch.full((4, 3, 12, 12), 0.5))
    assert (answer[1:3] == 0).all()
    assert (answer[[0, 3]] != 0).any()
    assert questions.paid.tolist() == [2, 0, 0, 2]
    assert [rows for _, rows in defence.answered] == [2, 2]


def test_to_be_rejected_is_no_success_of_who_asks() -> None:
    class Rejecting(LinearDefence):
        capabilities = frozenset({"rejects"})

        def rejects(self, x):
            return x.flatten(1)[:, 0] > 0.5

    weight = torch.eye(48, 3)
    x = torch.full((2, 3, 4, 4), 0.4)
    x[0, 0, 0, 0] = 0.6
    y = torch.tensor([2, 2])  # both are answered otherwise
    for labels in (True, False):
        source = seeding.generator(0, "noise")
        seen = Questions(Rejecting(weight, draws=1), y, source, 1, labels)(x)
        assert (seen.argmax(1) == y).tolist() == [True, False]


def made(defence, images, folder=None, kill_after=None, **settings):
    total_units = 0

    def progress(what, done, total):
        nonlocal total_units
        total_units += what != "start"
        if total_units == kill_after:
            raise KeyboardInterrupt

    options = {"queries": 60, "seed": 0, "batch_size": 10, "about": ABOUT, **settings}
    return evaluate(
        defence, images, Linf(0.03), "queries", progress=progress, resume=folder, **options
    )


def test_a_killed_evaluation_goes_on_to_the_identical_files(defended, images, tmp_path) -> None:
    few = images.take(20)
    whole = write(made(defended, few), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        made(defended, few, tmp_path / "resume", kill_after=9)
    assert 0 < len(list((tmp_path / "resume").glob("unit*.parquet"))) < 20
    resumed = write(made(defended, few, tmp_path / "resume"), tmp_path / "resumed")
    assert resumed.read_bytes() == whole.read_bytes()
    bodies = [path.with_suffix(".parquet").read_bytes() for path in (whole, resumed)]
    assert bodies[0] == bodies[1]
    with pytest.raises(ConfigError, match="another evaluation"):
        made(defended, few, tmp_path / "resume", queries=61)


@pytest.fixture(scope="module")
def records():
    """A random and a plain model on the same images."""
    weight = seeding.normal((432, 3), seeding.for_data(0, "test-weight")) / 10
    pixels = 64 + 128 * seeding.uniform((50, 3, 12, 12), seeding.for_data(0, "test-pixels"))
    pixels = pixels.to(torch.uint8)
    labels = (pixels.float().div(255).flatten(1) @ weight).argmax(1)
    images = alp.Images.of(pixels, labels, ["a", "b", "c"], "toy", "test")
    return [
        made(defence, images, queries=100, batch_size=50, about=replace(ABOUT, name=name))
        for name, defence in {
            "random": LinearDefence(weight, sigma=0.05),
            "plain": LinearDefence(weight, draws=1),
        }.items()
    ]


def test_a_record_says_what_is_left_after_how_many_questions(records) -> None:
    random, plain = records
    told = alp.conclude(random)
    assert random.kind == told["suite"] == "queries"
    assert [row["queries"] for row in told["curve"]] == [0, 10, 30, 100]
    assert told["evaluations"] == 5
    assert set(told["attackers"]) == {"square", "square once", "nes", "spsa", "rays"}
    assert list(told["attackers"]["square"]) == ["1", "2", "4", "8"]
    assert all(row["low"] <= row["value"] <= row["high"] for row in told["curve"])
    assert told["quoted"] == told["curve"][-1]
    assert told["curve"][-1]["value"] < told["clean"]["value"]
    assert alp.conclude(plain)["attackers"]["rays"].keys() == {"1"}


def test_the_headline_is_the_best_attacker_by_the_draws_that_select(records) -> None:
    random, _ = records
    for row in alp.conclude(random)["curve"]:
        names = [each["name"] for each in random.header["attackers"]]
        left = {name: left_by(random, name, row["queries"]) for name in names}
        least = min(select.mean() for select, _ in left.values())
        best = [fresh.mean() for select, fresh in left.values() if select.mean() == least]
        assert row["value"] == pytest.approx(best[0])


def test_what_is_left_never_rises_by_the_draws_that_select(records) -> None:
    for record in records:
        for each in record.header["attackers"]:
            left = [left_by(record, each["name"], mark)[0] for mark in (0, 10, 30, 100)]
            assert all((after <= before).all() for before, after in pairwise(left))


def test_of_a_plain_model_the_curve_counts_the_first_questions_that_fool(records) -> None:
    _, plain = records
    for each in plain.header["attackers"]:
        first = plain.columns[f"{each['name']}_queries"]
        for mark in (0, 10, 30, 100):
            left = left_by(plain, each["name"], mark)[1]
            assert ((first > mark) | (first == -1)).tolist() == (left == 1).tolist()


def test_two_models_are_compared_at_equal_questions(records) -> None:
    random, plain = records
    for mark in (10, 100):
        curves = [alp.conclude(each)["curve"] for each in (random, plain)]
        values = [next(r["value"] for r in curve if r["queries"] == mark) for curve in curves]
        difference, interval = alp.records.query_difference(random, plain, mark)
        assert difference == pytest.approx(values[0] - values[1])
        assert interval.low <= difference <= interval.high
    with pytest.raises(alp.errors.RecordError, match="no checkpoint at 31 queries"):
        alp.records.query_difference(random, plain, 31)


def test_a_model_without_a_gradient_is_judged(weight, images) -> None:
    class Answers(LinearDefence):
        differentiable = False

        def sample(self, state, source, draws):
            return super().sample(state.detach(), source, draws)

    record = made(Answers(weight, sigma=0.05), images.take(20))
    assert alp.conclude(record)["curve"][-1]["queries"] == 60
    assert any("answers only" in text for text in record.header["warnings"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"suite": "queries", "queries": 0}, "queries is 0; give a whole number"),
        (
            {"queries": 50},
            "queries is 50, a number for the suite 'queries', and the suite is 'quick'",
        ),
        ({"suite": "querries"}, "queries"),
    ],
)
def test_settings_that_cannot_be_are_named(settings, words) -> None:
    with pytest.raises(ConfigError, match=words):
        EvalConfig(**settings)


def test_a_plan_that_cannot_be_is_named() -> None:
    with pytest.raises(ConfigError, match=r"answers are \[2, 2\]; give one number or more"):
        Queries(answers=(2, 2))
    with pytest.raises(ConfigError, match="pays 40 answers, and the budget is 30 queries"):
        Queries(30, attackers=(Asker("square", Square(10), answers=2),))
    twice = (Asker("rays", RayS(3), "labels"), Asker("rays", RayS(4), "labels"))
    with pytest.raises(ConfigError, match="has the attacker 'rays x1' twice"):
        Queries(30, attackers=twice)
    own = Queries(60, attackers=(Asker("nes", NES(60), surrogate="public"),))
    context = Context(LinearDefence(torch.ones(48, 2)), {}, Linf(0.1), 0)
    with pytest.raises(ConfigError, match="starts from 'public'; give it in surrogates"):
        own.fitted(context, "linf", 2)


@pytest.mark.parametrize("after", [25, 90, 333])
def test_an_attacker_that_is_interrupted_inside_a_batch_pays_nothing_twice(
    defended, images, tmp_path, after
) -> None:
    """It hears the old answers again; only the one that was interrupted is asked for again."""

    class Stopping(LinearDefence):
        left = 10**9
        paid = 0

        def predict(self, x, source, draws):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            answer = super().predict(x, source, draws)
            self.paid += source.initial_seed() in asking
            return answer

    few = images.take(10)
    names = [each.name for each in askers(True, (1, 3), 60, ())]
    asking = {
        seeding.generator(0, f"draw/{name}", batch).initial_seed()
        for name in names
        for batch in range(10)
    }
    stopping = Stopping(defended.weight, sigma=0.05)
    whole = made(stopping, few)
    expected, stopping.paid = stopping.paid, 0
    stopping.left = after
    with pytest.raises(KeyboardInterrupt):
        made(stopping, few, tmp_path)
    assert 0 < stopping.paid < expected
    stopping.left = 10**9
    assert made(stopping, few, tmp_path).same(whole)
    assert expected <= stopping.paid <= expected + 3, "the answers of one question at most"
