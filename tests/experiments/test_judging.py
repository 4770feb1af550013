"""Claims beside records: what counts as reproduced, on records made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import CIFAR10, IMAGES, found, kept, leaderboard, points

from alp.experiments import EXPERIMENTS
from alp.experiments.claims import claims
from alp.experiments.findings import COMMANDS, judge
from alp.experiments.measures import MEASURES
from alp.records import Kept, Record, read_tree
from alp.report.claims import OWN, Finding, Judged, claims_part, totals

RESULTS = Path(__file__).parents[2] / "results" / "cpu"
CLAIMS = {claim.id: claim for claim in claims()}


def test_every_claim_can_be_measured_by_an_experiment() -> None:
    items = {item for claim in claims() for item in claim.items}
    assert items <= set(EXPERIMENTS) | set(COMMANDS)
    assert {claim.quantity for claim in claims()} == set(MEASURES)


@pytest.mark.parametrize(
    ("share", "status"), [(0.32, "reproduced"), (0.355, "reproduced"), (0.43, "not reproduced")]
)
def test_a_published_number_has_a_tolerance(make_record, share: float, status: str) -> None:
    one = found([kept(make_record(single=share), "hierarchy")], "hierarchy.a-alp-at.robust")
    assert one.status == status
    assert one.published == "32.06\u202f%, SD 1.94"
    (finding,) = one.findings
    assert finding.value == pytest.approx(100 * share)
    assert finding.protocol == "single"
    assert finding.records == ("hierarchy/records/0.json",)


def test_trials_are_averaged_and_all_records_named(make_record) -> None:
    records = [
        kept(make_record(single=share, trial=n), "hierarchy", n)
        for n, share in enumerate((0.3, 0.32, 0.34))
    ]
    one = found(records, "hierarchy.a-alp-at.robust")
    assert one.findings[0].words == "32.00\u202f%"
    assert one.findings[0].interval.endswith("SD 2")
    assert len(one.findings[0].records) == 3
    spread = found(records, "hierarchy.a-alp-at.sd")
    assert spread.findings[0].value == pytest.approx(2.0)
    assert spread.status == "not reproduced", "less than the published deviation is tight"
    closer = found(records[1:], "hierarchy.a-alp-at.sd")
    assert closer.findings[0].value == pytest.approx(2**0.5)
    assert closer.status == "reproduced"


def test_a_claim_may_be_true_of_one_attacker_only(make_record) -> None:
    """The purifier's gain: nothing under single, all of it under masked."""
    defended, alone = make_record(), make_record("AT")
    words = {"single": "one draw", "masked": "cut"}
    for record, share in ((defended, 0.8), (alone, 0.3)):
        record.header["knowledge"] = words
        record.columns["masked_correct"] = np.arange(IMAGES) < share * IMAGES
        record.columns["masked_zero_gradient"] = np.zeros(IMAGES, bool)
    one = found([kept(defended, "hierarchy"), kept(alone, "hierarchy", 1)], "hierarchy.gain")
    assert one.status == "only"
    assert one.verdict == "true only under `masked`"
    assert [(each.protocol, each.holds) for each in one.findings] == [
        ("single", False),
        ("masked", True),
    ]
    assert one.findings[1].value == pytest.approx(50)


def test_a_difference_has_to_be_sure(make_record) -> None:
    """Figure 4's claim is of a rise: one that the interval does not exclude is none."""
    columns = {"index": np.arange(IMAGES), "label": np.zeros(IMAGES, int)}
    for name in ("clean", "attacked", "purified"):
        columns |= {f"{name}_{axis}": np.zeros(IMAGES) for axis in ("x", "y", "prediction")}
        columns[f"{name}_share"] = np.zeros(IMAGES)
    header = {
        "kind": "embedding", "name": "A-ALP + AT", "seed": 0, "draws": 20, "images": IMAGES,
        "data": {"name": "cifar10", "split": "test"}, "attack": {}, "threat": {},
        "level": "single", "sets": ["clean", "attacked", "purified"], "neighbours": 10,
        "perplexity": 30.0,
    }  # fmt: skip
    for rise, status in ((0, "not reproduced"), (1, "not reproduced"), (40, "reproduced")):
        columns["purified_share"] = (np.arange(IMAGES) < rise).astype(float)
        one = found([kept(Record(header, columns), "tsne")], "tsne.return")
        assert one.status == status
        assert one.findings[0].value == pytest.approx(100 * rise / IMAGES)


def test_the_sweep_is_judged_at_every_level() -> None:
    cells = [
        (level, 0.3, sigma, share, 20.0)
        for level, shares in {"single": (0.1, 0.05), "masked": (0.33, 0.38)}.items()
        for sigma, share in zip((0.0, 0.5), shares, strict=True)
    ]
    record = points("sweep", cells)
    assert found([record], "sweep.without").verdict == "true only under `masked`"
    best = found([record], "sweep.optimum")
    assert [each.value for each in best.findings] == pytest.approx([-5, 5])
    assert best.verdict.startswith("true only under `masked, against sigma 0`")


def test_models_that_were_trained_at_each_level_are_one_curve() -> None:
    """Their records are joined; a model that is set to all levels is a curve of its own."""

    def point(sigma: float, share: float) -> tuple[str, float, float, float, float]:
        return "single", 0.3, sigma, share, 25.0

    shares = {0.0: 0.2, 0.5: 0.3, 1.0: 0.4}
    records = [
        points("trained-sweep", [point(*each)], name="own", sigma=each[0])
        for each in shares.items()
    ]
    cells = [point(*each) for each in {**shares, 1.0: 0.1}.items()]
    records.append(points("trained-sweep", cells, name="moved"))
    best = {each.protocol: each.value for each in found(records, "sweep.optimum").findings}
    assert best == {
        "single, own, trained-sweep, against sigma 1": pytest.approx(-10),
        "single, moved, trained-sweep, against sigma 0": pytest.approx(10),
    }
    gains = found(records, "sweep.gain").findings
    assert [each.value for each in gains] == pytest.approx([10, 10])


def test_a_compact_latent_stands_beside_the_usual_one(make_record) -> None:
    """Its sigma, its accuracy under the paper's attack and PSNR at its own noise level."""
    usual = kept(make_record(single=0.45, sigma=0.6), "hierarchy")
    cells = [("clean", 0.0, None, 0.7, 26.0), ("single", 8 / 255, None, 0.31, 24.0)]
    small = points("compact", cells, sigma=0.21)
    judged = {each.id: each for each in judge([usual, small])}
    sigma = {f.protocol: (f.value, f.holds) for f in judged["sigma.mean"].findings}
    assert sigma == {"": (0.6, False), "compact": (0.21, True)}
    robust = {f.protocol: f.holds for f in judged["hierarchy.a-alp-at.robust"].findings}
    assert robust == {"single": False, "single, compact": True}
    (psnr,) = judged["psnr.at-sigma"].findings
    assert (psnr.value, psnr.protocol) == (26.0, "sigma 0.21, compact")


@pytest.mark.parametrize(("left", "status"), [(0.1, "reproduced"), (0.78, "not reproduced")])
def test_an_attack_alone_is_held_against_no_attack(left: float, status: str) -> None:
    """By the norm of its threat, of 80 % clean; other attacks of the record say nothing."""

    def verdict(norm: str, left: float) -> Kept:
        columns = {"clean_select": 2 * (np.arange(IMAGES) < 160)}
        columns["clean_fresh"] = columns["clean_select"]
        names = {"fixed bim-10": left, "fixed fgsm": 0.8}
        for name, share in names.items():
            attacked = 2 * (np.arange(IMAGES) < share * IMAGES)
            columns |= {f"{name}_{part}": attacked for part in ("select", "fresh")}
            columns[f"{name}_attacked"] = np.arange(IMAGES) < 160
        entries = [{"name": name, "attack": {"name": name[6:9]}} for name in names]
        header = {
            "kind": "verdict",
            "name": "baseline",
            "evaluations": 2,
            "threat": {"name": norm},
            "entries": entries,
            **CIFAR10,
        }
        return kept(Record(header, columns), "attacks", number=len(norm))

    one = found([verdict("l2", 0.5), verdict("linf", left)], "field.bim")
    assert [each.protocol for each in one.findings] == ["linf", "l2"]
    assert [each.value for each in one.findings] == pytest.approx([80 - 100 * left, 30])
    assert one.findings[0].holds is (status == "reproduced")


def test_another_works_defence_is_held_against_the_bare_classifier() -> None:
    bare = leaderboard("cifar10-lite-standard", {"single": 0.1}, 0)
    ours = leaderboard("magnet", {"oblivious": 0.4, "detectors": 0.1}, 1)
    one = found([bare, ours], "field.magnet")
    assert one.status == "only"
    assert {each.protocol: each.value for each in one.findings} == {
        "oblivious": pytest.approx(30),
        "detectors": pytest.approx(0),
        "worst case": pytest.approx(0),
    }
    data = {"name": "cifar10", "split": "validation"}
    others = leaderboard("magnet", {"oblivious": 0.4}, 1, data=data)
    older = leaderboard("magnet", {"oblivious": 0.4}, 1, defence={})
    cells = [("single", 0.3, s, share, 20.0) for s, share in ((0.0, 0.3), (0.5, 0.4))]
    for without in ([ours], [bare, others], [bare, older]):
        judged = {each.id: each for each in judge([points("sweep", cells), *without])}
        assert judged["field.magnet"].status == "not measured"
        assert "docs/leaderboard.md" in judged["field.magnet"].measure


@pytest.mark.parametrize(("share", "status"), [(0.6, "reproduced"), (0.0, "not reproduced")])
def test_what_is_certified_is_a_share_of_all_images(share: float, status: str) -> None:
    header = {"kind": "certificate", "name": "cifar10-certified", **CIFAR10}
    header |= {"sigma": 0.25, "radii": [0.5], "alpha": 0.001, "budget": 128, "method": "anytime"}
    header |= {"precision": "float32", "seed": 0, "images": IMAGES, "shape": [3, 32, 32]}
    right = np.arange(IMAGES) < share * IMAGES
    columns = {"label": np.zeros(IMAGES, int), "selected": np.where(right, 0, 1)}
    columns["radius"] = np.where(np.arange(IMAGES) % 2, 0.5, np.nan)
    columns |= {"index": np.arange(IMAGES), "draws": np.full(IMAGES, 128)}
    columns |= {"refuted": np.full(IMAGES, np.inf), "stopped": np.full(IMAGES, "settled")}
    one = found([kept(Record(header, columns), "", folder="proofs")], "field.smoothing")
    assert one.findings[0].value == pytest.approx(50 * share)
    assert one.status == status


def test_the_tradeoff_has_two_ends_and_an_optimum() -> None:
    cells = [("clean", 0.0, s, 0.8, psnr) for s, psnr in ((0.0, 30.0), (0.5, 20.0), (2.0, 17.4))]
    cells += [("single", 8 / 255, s, share, 20.0) for s, share in ((0.0, 0.3), (0.5, 0.4))]
    record = points("tradeoff", cells)
    (ends,) = found([record], "tradeoff.psnr").findings
    assert ends.protocol == "30.00 dB at sigma 0, 17.40 at 2"
    assert ends.value == pytest.approx(9)
    assert not ends.holds
    assert found([record], "tradeoff.optimum").status == "reproduced"


@pytest.mark.parametrize(("first", "status"), [(21.9, "reproduced"), (22.1, "not reproduced")])
def test_both_ends_of_the_curve_have_to_be_near(first: float, status: str) -> None:
    cells = [("clean", 0.0, s, 0.8, psnr) for s, psnr in ((0.0, first), (2.0, 17.4))]
    assert found([points("tradeoff", cells)], "tradeoff.psnr").status == status


@pytest.mark.parametrize(
    ("middle", "smallest", "status"),
    [(20.0, 2.6, "reproduced"), (30.5, -0.5, "not reproduced"), (30.0, 0.0, "not reproduced")],
)
def test_psnr_has_to_fall_at_every_step(middle: float, smallest: float, status: str) -> None:
    curve = ((0.0, 30.0), (0.5, middle), (2.0, 17.4))
    one = found(
        [points("tradeoff", [("clean", 0.0, s, 0.8, psnr) for s, psnr in curve])],
        "tradeoff.psnr.falls",
    )
    assert one.status == status
    assert one.findings[0].value == pytest.approx(smallest, abs=1e-4)


def test_psnr_may_vary_over_trials_or_over_images() -> None:
    """Images of a trial all alike, trials far apart; a noise level that one trial lacks is out."""
    records = [
        points("reliability", [("clean", 0.0, 0.5, 0.8, psnr), ("clean", 0.0, psnr, 0.8, 9)],
               trial=n)
        for n, psnr in enumerate((20.0, 24.0))
    ]  # fmt: skip
    trials, images = found(records, "tradeoff.psnr.spread").findings
    assert (trials.protocol, images.protocol) == ("over 2 trials", "over the images")
    assert trials.value == pytest.approx(8**0.5)
    assert images.value == 0
    assert (trials.holds, images.holds) == (False, True)


def test_psnr_counts_where_sigma_is_nearest_to_the_published() -> None:
    trained = [
        points("rate-distortion", [("clean", 0.0, None, 0.8, psnr)], trial=n, sigma=sigma)
        for n, (sigma, psnr) in enumerate(((0.3, 26.0), (0.9, 20.0)))
    ]
    varied = points("tradeoff", [("clean", 0.0, s, 0.8, p) for s, p in ((0.0, 31), (0.25, 30))])
    both = [("clean", 0.0, None, 0.8, 27.0), ("clean", 0.0, 0.219, 0.8, 25.0)]
    reading = points("readings", both, sigma=0.25)
    one = found([*trained, varied, reading], "psnr.at-sigma")
    assert [(each.protocol, each.value, each.holds) for each in one.findings] == [
        ("sigma 0.3, rate-distortion", 26, True),
        ("sigma 0.25, tradeoff", 30, False),
        ("sigma 0.25, readings", 27, False),
    ], "a level that was set counts where no training had it"


def test_what_the_training_is_told_is_no_finding(make_record) -> None:
    near = found([kept(make_record(psnr=26.0), "hierarchy")], "hierarchy.a-alp-at.psnr")
    assert (near.status, near.verdict) == ("by construction", "true by construction")
    assert near.by_construction
    far = found([kept(make_record(psnr=23.0), "hierarchy")], "hierarchy.a-alp-at.psnr")
    assert far.status == "not reproduced"


def test_the_optimum_of_five_trials_stands_beside_that_of_one() -> None:
    usual = 8 / 255
    one = [("single", usual, s, share, 20.0) for s, share in ((0.0, 0.3), (0.5, 0.4))]
    more = [("single", usual, s, share, 20.0) for s, share in ((0.0, 0.3), (0.5, 0.2), (1.5, 0.4))]
    far = ("single", 2 / 255, 0.1, 0.9, 20.0)
    records = [points("tradeoff", [*one, far])]
    records += [points("reliability", [*more, far], trial=n) for n in range(2)]
    # A level that one trial alone was attacked at, such as its learned one, is no rival.
    records.append(points("reliability", [*more, ("single", usual, 0.7, 0.9, 20.0)], trial=2))
    best = found(records, "tradeoff.optimum")
    assert [(each.protocol, each.value) for each in best.findings] == [
        ("single, against sigma 0", pytest.approx(10)),
        ("single, reliability, against sigma 1.5", pytest.approx(-20)),
    ], "other radii do not count"
    assert best.published == "0.5"


def test_the_best_noise_level_is_chosen_on_other_images() -> None:
    """Levels that are lucky on one half of the images each gain nothing on the other."""
    cells = [("single", 0.3, s, share, 20.0) for s, share in ((0.0, 0.0), (0.5, 0.2), (1.0, 0.0))]
    record = points("sweep", cells)
    names = [each["name"] for each in record.record.header["points"]]
    for name, half in ((names[0], 0), (names[2], 1)):
        record.record.columns[f"{name}_correct"][half::2] = True
    (best,) = found([record], "sweep.optimum").findings
    assert best.protocol == "single, against sigma 0 and 1"
    assert (best.value, best.holds) == (pytest.approx(20), True)


def test_what_noise_adds_is_a_paired_difference() -> None:
    cells = [("single", 0.3, s, share, 20.0) for s, share in ((0.0, 0.30), (0.5, 0.40))]
    (gain,) = found([points("sweep", cells)], "sweep.gain").findings
    assert gain.value == pytest.approx(10)
    assert gain.holds
    assert found([points("sweep", cells[:1])], "sweep.gain").findings == ()


def test_the_zero_shot_purifier_has_findings_of_its_own() -> None:
    cells = [("single", 0.3, s, share, 20.0) for s, share in ((0.0, 0.30), (0.5, 0.25))]
    records = [points(item, cells) for item in ("sweep", "zero-shot-sweep")]
    worst = found(records, "sweep.optimum")
    assert [each.protocol for each in worst.findings] == [
        "single, against sigma 0",
        "single, zero-shot-sweep, against sigma 0",
    ]
    (gain,) = found(records[1:], "sweep.gain").findings
    assert (gain.protocol, gain.value) == ("single, zero-shot-sweep", pytest.approx(-5))
    falls = [points("zero-shot-tradeoff", [("clean", 0.0, s, 0.8, 30 - s) for s in (0.0, 1.0)])]
    (fall,) = found(falls, "tradeoff.psnr.falls").findings
    assert (fall.protocol, fall.value) == ("zero-shot-tradeoff", pytest.approx(1))


@pytest.mark.parametrize(("share", "status"), [(0.4, "reproduced"), (0.2, "not reproduced")])
def test_a_classifier_as_it_is_gains_what_is_above_it_alone(share: float, status: str) -> None:
    def rows(name: str, share: float, trial: int) -> Kept:
        cells = [("single", 8 / 255, None, share, 26.0)]
        return points("unmodified", cells, trial=trial, name=name)

    records = [rows("baseline", 0.3, 0), rows("zero-shot ALP", share, 1), rows("AT", 0.9, 2)]
    one = found(records, "zero-shot.unmodified")
    assert one.status == status
    assert one.findings[0].value == pytest.approx(100 * (share - 0.3))
    assert found(records, "zero-shot.at").findings == ()


@pytest.mark.parametrize(("share", "status"), [(0.4, "reproduced"), (0.3, "not reproduced")])
def test_the_consensus_is_held_against_one_draw(share: float, status: str) -> None:
    shares = {1: 0.3, 5: 0.9, 20: share}
    records = [
        points("consensus", [("single", 8 / 255, None, each, 26.0)], trial=n, draws=draws)
        for n, (draws, each) in enumerate(shares.items())
    ]
    one = found(records, "consensus.helps")
    assert one.status == status
    assert one.findings[0].value == pytest.approx(100 * (share - 0.3))
    assert judge(records[:2]) == []


def test_a_gradient_that_agrees_refutes_that_there_is_none() -> None:
    for share, status in ((1.0, "not reproduced"), (0.5, "reproduced")):
        check = {"check": "finite-difference", "value": share}
        header = {"kind": "verdict", "name": "A-ALP + AT", "checks": [check], **CIFAR10}
        header["probes"] = {"images": 32}
        record = Record(header, {"index": np.arange(3)})
        one = found([kept(record, "honest")], "masking.differentiable")
        assert one.status == status
        low, _, high = one.findings[0].interval.partition(" to ")
        assert float(low) < 100 * share <= float(high), "of 32 images"


@pytest.mark.parametrize(("wide", "status"), [(0.9, "reproduced"), (0.5, "not reproduced")])
def test_what_wide_latents_let_pass(wide: float, status: str) -> None:
    cells = [("single", 8 / 255, None, 0.3, 26.0)]
    records = [
        points("bottleneck", cells, trial=n, passed=passed, extra={"latent_channels": channels})
        for n, (channels, passed) in enumerate(((512, wide), (64, 0.6), (16, 2.0)))
    ]
    one = found(records, "bottleneck.wide")
    assert one.status == status
    assert one.findings[0].value == pytest.approx(100 * (wide - 0.6))
    assert one.findings[0].protocol == "single"


def test_widths_are_compared_where_the_same_is_held_equal() -> None:
    cells = [("single", 8 / 255, None, 0.4, 20.0)]
    passed = {(64, "one PSNR"): 0.5, (512, "one PSNR"): 0.4, (64, "no rate"): 0.6}
    passed[512, "no rate"] = 0.9
    records = [
        points(
            "bottleneck-free",
            cells,
            trial=n,
            passed=share,
            extra={"latent_channels": width, "objective": objective},
        )
        for n, ((width, objective), share) in enumerate(passed.items())
    ]
    one = found(records, "bottleneck.wide")
    assert {each.protocol: each.value for each in one.findings} == {
        "single, one PSNR, bottleneck-free": pytest.approx(-10),
        "single, no rate, bottleneck-free": pytest.approx(30),
    }
    assert [each.holds for each in one.findings] == [False, True]


def test_records_of_other_data_say_nothing(make_record) -> None:
    record = make_record(data={"name": "shapes", "split": "test"})
    assert judge([kept(record, "hierarchy")]) == []


def test_a_claim_without_records_says_how_to_measure_it(make_record) -> None:
    one = found([kept(make_record(), "hierarchy")], "sweep.optimum")
    assert one.status == "not measured"
    assert "`alp reproduce sweep`" in one.measure


def test_of_several_runs_the_largest_counts(make_record) -> None:
    small = kept(make_record(single=0.1), "hierarchy", folder="a")
    large = [kept(make_record(single=0.32, trial=n), "hierarchy", n, folder="b") for n in range(2)]
    for records in ([small, *large], [*large, small]):
        assert found(records, "hierarchy.a-alp-at.robust").status == "reproduced"


def test_the_experiments_own_run_comes_before_larger_ones_of_other_commands(make_record) -> None:
    own = kept(make_record(single=0.32), "hierarchy", folder="a")
    others = [kept(make_record(single=0.1, trial=n), "", n, folder="b") for n in range(2)]
    for records in ([own, *others], [*others, own]):
        assert found(records, "hierarchy.a-alp-at.robust").status == "reproduced"
    assert found(others, "hierarchy.a-alp-at.robust").status == "not reproduced"


def test_damaged_records_leave_their_claims_unmeasured(make_record) -> None:
    broken = make_record()
    del broken.header["threat"]
    whole = kept(make_record("AT", single=0.28), "hierarchy", 1)
    judged = {each.id: each for each in judge([kept(broken, "hierarchy"), whole])}
    assert judged["hierarchy.a-alp-at.robust"].status == "not measured"
    assert judged["hierarchy.at.robust"].status == "reproduced"


def test_the_committed_results_are_judged() -> None:
    records, refused = read_tree(RESULTS)
    assert refused == []
    judged = {each.id: each for each in judge(records)}
    assert list(judged) == list(CLAIMS)
    assert judged["hierarchy.baseline.robust"].status == "reproduced"
    assert judged["hierarchy.at.robust"].status == "not reproduced"
    paths = {path for each in judged.values() for f in each.findings for path in f.records}
    assert paths <= {each.path for each in records}


NO_INTERVAL = {("sigma.mean", "compact"): "one purifier was trained, and a sigma has no images"}
"""Claim and protocol of the findings that cannot have one, and why."""


def test_every_number_has_an_interval_where_its_record_allows_one() -> None:
    without = {
        (each.id, finding.protocol)
        for each in judge(read_tree(RESULTS)[0])
        for finding in each.findings
        if " to " not in finding.interval
    }
    assert without == set(NO_INTERVAL)


def test_the_totals_count_every_claim_once() -> None:
    finding = Finding("single", 1.0, "1", "", True, ("a.json",))
    one = Judged("a", "s", "Table II", "1", 1.0, "about", "run it", (finding,))
    both = replace(one, findings=(finding, replace(finding, protocol="eot", holds=False)))
    judged = [one, replace(one, findings=()), both, both]
    assert totals(judged) == [
        ("reproduced", "1 reproduced"),
        ("only", "2 true of some measurements"),
        ("not measured", "1 not measured"),
    ]
    assert [row["rank"] for row in claims_part(judged)["rows"]] == [0, 4, 1, 1]
    assert totals([replace(one, by_construction="it is set")]) == [
        ("by construction", "1 true by construction")
    ]
    assert both.as_json()["verdict"] == "true only under `single`"
    ours = replace(one, id="ours", place=OWN)
    assert totals([*judged, ours]) == totals(judged), "no total of the paper's claims"
    groups = claims_part([*judged, ours])["groups"]
    assert [len(each["rows"]) for each in groups] == [1, 2, 1, 1]
    assert groups[-1]["words"] == "our own reading"
    most = replace(both, findings=(*both.findings, replace(finding, protocol="bpda")))
    assert most.verdict == "true, but not under `eot`"
