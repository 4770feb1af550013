"""The evaluation by all levels of knowledge: what it keeps, resumes and shares out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from linear_defence import LinearDefence

from alp import seeding
from alp.attacks import APGD, PGD, Linf, Square
from alp.attacks.library import LIBRARY_ATTACKS, TargetedAPGD
from alp.errors import ConfigError, UnknownNameError
from alp.evaluation import SUITES, About, Entry, Probes, Suite, evaluate
from alp.evaluation.knowledge import BLACK_BOX, KNOWLEDGE
from alp.evaluation.suites import suite_for
from alp.records import conclude, write

pytestmark = pytest.mark.slow

SMALL = Linf(0.01)
ABOUT = About("toy", sigma=0.05, weights={"classifier": "ab"})
SUITE = Suite(
    "tiny",
    opening=(
        Entry("oblivious", PGD(2)),
        Entry("score", Square(3), 2, "logits"),
        Entry("masked", PGD(2)),
        Entry("single", PGD(3)),
        Entry("bpda", PGD(3), 2),
        Entry("fixed", APGD(3, loss="margin"), 3, "logits"),
        Entry("eot", APGD(3), 3),
    ),
    closing=(Entry("eot", PGD(4), 3, "probability"), Entry("score", Square(4), 2, "logits")),
    evaluations=3,
    probes=Probes(images=15, steps=(2, 4), draws=3),
)


class Killed(BaseException):
    """Nothing catches it: what a kill looks like from inside."""


def judged(defence, images, threat=SMALL, suite=SUITE, **options):
    settings = {"about": ABOUT, "batch_size": 20, **options}
    return evaluate(defence, images, threat, suite, **settings)


@pytest.fixture(scope="module")
def seen() -> list[tuple[str, float, float]]:
    return []


def test_columns_header_and_progress(defended, images, seen) -> None:
    record = judged(defended, images, progress=lambda *told: seen.append(told))
    names = [entry.name for entry in SUITE.entries]
    for name in names:
        for part in ("attacked", "select", "fresh", "distance"):
            assert len(record.columns[f"{name}_{part}"]) == len(images)
        assert record.columns[f"{name}_distance"].max() <= 0.01 * 1.001
        assert record.columns[f"{name}_fresh"].max() <= 3
    assert record.columns["index"].tolist() == list(range(50))
    assert record.columns["label"].tolist() == images.labels.tolist()
    assert [entry["name"] for entry in record.header["entries"]] == names
    assert record.header["draws"] == defended.draws
    assert {check["check"] for check in record.header["checks"]} > {"null", "steps", "radius"}
    looked = record.columns["steps_fgsm"]
    assert np.isnan(looked[15:]).all()
    assert not np.isnan(looked[:15]).any()
    (what, done, total), *later = seen
    assert (what, done) == ("start", 0.0)
    assert total > 0
    assert later[-1][1] == pytest.approx(total)
    assert [told[0] for told in later[:3]] == ["clean"] * 3


def test_closing_entries_attack_what_is_left(defended, images) -> None:
    labels = images.labels.clone()
    labels[:5] = (labels[:5] + 1) % 3
    columns = judged(defended, replace(images, labels=labels), Linf(0.03)).columns
    broken = {entry: columns[f"{entry.name}_select"] == 0 for entry in SUITE.entries}
    wrong = columns["clean_select"] == 0
    assert wrong.any()
    for entry in SUITE.opening:
        assert (columns[f"{entry.name}_attacked"] == ~wrong).all()
        better = ~wrong & (columns[f"{entry.name}_select"] < columns["clean_select"])
        assert ((columns[f"{entry.name}_fresh"] >= 0) == better).all()
    white, black = SUITE.closing
    by_white = [broken[each] for each in SUITE.opening if each.level not in BLACK_BOX]
    by_any = [broken[each] for each in (*SUITE.opening, white)]
    for entry, others in ((white, by_white), (black, by_any)):
        gone = np.logical_or.reduce([wrong, *others])
        attacked = columns[f"{entry.name}_attacked"]
        assert (attacked == ~gone).all()
        assert (columns[f"{entry.name}_fresh"][~attacked] == -1).all()
        assert gone.any()
        assert not gone.all()


def test_an_evaluation_repeats_and_follows_its_seed(defended, images) -> None:
    first = judged(defended, images)
    assert first.same(judged(defended, images))
    other = judged(defended, images, seed=1)
    assert first.header["seed"] != other.header["seed"]
    assert any((first.columns[key] != other.columns[key]).any() for key in other.columns)


def test_at_no_radius_the_clean_accuracy_is_reported(images, weight) -> None:
    """On a point that half of the draws get wrong: the lowest of several scores is no estimate."""
    noisy = LinearDefence(weight, sigma=0.6, draws=2)
    many = replace(images, images=images.images.repeat(8, 1, 1, 1), labels=images.labels.repeat(8))
    found = conclude(judged(noisy, many, Linf(1e-7), batch_size=400))
    clean, worst = found["clean"], found["worst"]
    assert 0.5 < clean["value"] < 0.95
    assert clean["low"] <= worst["value"] <= clean["high"]
    lowest = min(entry["value"] for entry in found["entries"].values())
    assert lowest <= clean["high"]


def test_a_deterministic_target_is_asked_once(undefended, images) -> None:
    suite = suite_for("quick", "linf", undefended)
    assert suite.evaluations == 1
    assert all(entry.draws == 1 for entry in suite.entries)
    record = judged(undefended, images, suite=replace(suite, probes=Probes(15, (8, 16), 1)))
    assert set(conclude(record)["levels"]) >= {"single", "score"}
    assert all(check["passed"] for check in record.header["checks"])


def test_any_callable_is_a_target(images, weight) -> None:
    suite = Suite("tiny", (Entry("single", PGD(2)),), (), 1, Probes(10, (1, 2), 2))
    record = evaluate(lambda x: x.flatten(1) @ weight, images, Linf(0.01), suite)
    assert record.name == "function"
    assert conclude(record)["clean"]["value"] == 1


def test_a_surrogate_is_attacked_in_place_of_the_target(defended, undefended, images) -> None:
    suite = replace(SUITE, opening=(Entry("transfer", PGD(5), surrogate="other"),), closing=())
    record = judged(defended, images, suite=suite, surrogates={"other": undefended})
    assert record.header["surrogates"] == ["other"]
    assert "transfer pgd-5 other_fresh" in record.columns
    opposite = {"other": lambda x: -undefended.bare(x)}
    wrong = judged(defended, images, suite=suite, surrogates=opposite)
    name = "transfer pgd-5 other_select"
    assert record.columns[name].mean() < wrong.columns[name].mean()


@pytest.mark.parametrize("after", [1, 7, 20])
def test_a_killed_evaluation_goes_on_to_the_identical_files(
    defended, images, tmp_path, after: int
) -> None:
    whole = write(judged(defended, images), tmp_path / "whole")
    calls = iter(range(1000))

    def progress(*told: object) -> None:
        if next(calls) == after:
            raise Killed

    with pytest.raises(Killed):
        judged(defended, images, resume=tmp_path / "parts", progress=progress)
    assert len(list((tmp_path / "parts").glob("unit*.parquet"))) == after
    resumed = write(judged(defended, images, resume=tmp_path / "parts"), tmp_path / "resumed")
    assert resumed.read_bytes() == whole.read_bytes()
    bodies = [path.with_suffix(".parquet").read_bytes() for path in (whole, resumed)]
    assert bodies[0] == bodies[1]
    defended.seeds.clear()
    assert judged(defended, images, resume=tmp_path / "parts").same(judged(defended, images))


def test_processes_share_the_batches_and_give_one_record(defended, images, tmp_path) -> None:
    told: list[tuple[str, float, float]] = []
    made = judged(
        defended,
        images,
        resume=tmp_path,
        processes=2,
        threads=1,
        progress=lambda *what: told.append(what),
    )
    assert made.same(judged(defended, images))
    _, done, total = told[-1]
    assert done == pytest.approx(total)
    defended.seeds.clear()
    assert judged(defended, images, resume=tmp_path, threads=1).same(made)
    assert "purify" not in defended.seeds, "what a process did is kept"


def test_a_target_that_cannot_be_repeated_says_so(images, weight) -> None:
    def own(x: torch.Tensor) -> torch.Tensor:
        noise = seeding.normal(x.shape, seeding.entropy())
        return (x + 0.01 * noise).flatten(1) @ weight

    suite = Suite("tiny", (Entry("single", PGD(2)),), (), 1, Probes(5, (1, 2), 2))
    assert "cannot be repeated" in evaluate(own, images, Linf(0.01), suite).header["warnings"][0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"suite": "thorough"}, UnknownNameError, "quick"),
        ({"suite": replace(SUITE, opening=())}, None, ""),
        ({"resume": "x", "about": About("toy")}, ConfigError, "digests of the weights"),
        (
            {"suite": replace(SUITE, closing=(Entry("transfer", PGD(2), surrogate="at"),))},
            ConfigError,
            "attacks the surrogate 'at'",
        ),
        ({"batch_size": 0}, ConfigError, "batch_size is 0"),
    ],
)
def test_refusals(defended, images, tmp_path, change, error, message) -> None:
    if "resume" in change:
        change = change | {"resume": tmp_path}
    if error is None:
        assert judged(defended, images, **change).header["entries"]
        return
    with pytest.raises(error, match=message):
        judged(defended, images, **change)


def test_no_images(defended, images) -> None:
    none = replace(images, images=images.images[:0], labels=images.labels[:0])
    with pytest.raises(ConfigError, match="no images"):
        judged(defended, none)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", SUITES)
def test_suites(name: str, norm: str, defended, undefended) -> None:
    whole = SUITES[name](norm)
    assert {entry.level for entry in whole.opening} == set(KNOWLEDGE)
    fitted = suite_for(name, norm, defended, ["a", "b"])
    transfers = [entry for entry in fitted.entries if entry.level == "transfer"]
    assert [entry.surrogate for entry in transfers] == ["a", "b"]
    for entry in fitted.entries:
        if type(entry.attack) in LIBRARY_ATTACKS.values():
            assert norm in map(str.lower, entry.attack.norms), entry.name
    plain = suite_for(name, norm, undefended)
    assert not {entry.level for entry in plain.entries} & {"transfer", "fixed", "eot"}


@pytest.mark.parametrize("name", SUITES)
def test_few_classes_leave_the_losses_that_need_more_out(name: str, defended) -> None:
    for classes in (2, 3, 4):
        entries = suite_for(name, "linf", defended, classes=classes).entries
        losses = {getattr(entry.attack, "loss", "") for entry in entries}
        assert ("dlr" in losses) == (classes > 2)
        targeted = any(isinstance(entry.attack, TargetedAPGD) for entry in entries)
        assert targeted == (classes > 3 and name not in ("unchecked", "quick"))
        assert "margin" in losses


def test_two_classes(images, weight) -> None:
    pair = replace(images, classes=("a", "b"), labels=images.labels.clamp_max(1))
    record = judged(lambda x: x.flatten(1) @ weight[:, :2], pair, suite="quick")
    assert {entry["attack"].get("loss") for entry in record.header["entries"]} <= {"ce", "margin"}


def test_suites_refuse_what_makes_no_sense() -> None:
    twice = (Entry("eot", PGD(2)), Entry("eot", PGD(2)))
    for change, message in (
        ({"opening": twice}, "twice"),
        ({"evaluations": 0}, "evaluations is 0"),
        ({"closing": (Entry("telepathy", PGD(2)),)}, "telepathy"),
        ({"closing": (Entry("eot", PGD(2), 2, "hope"),)}, "hope"),
        ({"closing": (Entry("eot", PGD(2), 0),)}, "draws is 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(SUITE, **change)
