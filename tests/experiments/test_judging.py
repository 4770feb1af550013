"""Claims beside records: what counts as reproduced, on records made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alp.experiments import EXPERIMENTS
from alp.experiments.claims import claims
from alp.experiments.findings import judge
from alp.experiments.measures import MEASURES
from alp.records import Kept, Record, read_tree
from alp.report.claims import Finding, Judged, claims_part, totals

RESULTS = Path(__file__).parents[2] / "results" / "cpu"
CLAIMS = {claim.id: claim for claim in claims()}
IMAGES = 200
CIFAR10 = {"data": {"name": "cifar10", "split": "test"}}


def kept(record: Record, item: str, number: int = 0, folder: str = "") -> Kept:
    header = {**record.header, "item": item}
    path = f"{folder or item}/records/{number}.json"
    return Kept(path, Record(header, record.columns))


def points(item: str, cells, *, trial: int = 0, passed: float = 1.0, **header) -> Kept:
    """A record of points from (level, eps, sigma, share that is right, PSNR)."""
    entries, columns = [], {"index": np.arange(IMAGES), "label": np.zeros(IMAGES, int)}
    for number, (level, eps, sigma, share, psnr) in enumerate(cells):
        entries.append(
            {"name": f"p{number}", "level": level, "eps": eps, "sigma": sigma, "averaged": 1}
        )
        columns[f"p{number}_correct"] = np.arange(IMAGES) < share * IMAGES
        columns[f"p{number}_psnr"] = np.full(IMAGES, psnr, np.float32)
        columns[f"p{number}_passed"] = passed + np.linspace(-0.01, 0.01, IMAGES)
    base = {
        "kind": "points",
        "name": "A-ALP + AT",
        "trial": trial,
        "seed": 0,
        "draws": 20,
        "images": IMAGES,
        "data": {"name": "cifar10", "split": "test"},
        "data_digest": "d1",
        "sigma": 0.6,
        "attack": {"name": "fgsm"},
        "threat": {"name": "linf"},
        "points": entries,
    }
    return kept(Record({**base, **header}, columns), item, number=trial)


def found(records, id: str) -> Judged:
    return next(each for each in judge(records) if each.id == id)


def test_every_claim_can_be_measured_by_an_experiment() -> None:
    items = {item for claim in claims() for item in claim.items}
    assert items <= set(EXPERIMENTS)
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
    assert spread.status == "reproduced"


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
    assert [each.value for each in best.findings] == [0.0, 0.5]
    assert best.verdict == "true only under `masked`"


def test_the_tradeoff_has_two_ends_and_an_optimum() -> None:
    cells = [("clean", 0.0, s, 0.8, psnr) for s, psnr in ((0.0, 30.0), (0.5, 20.0), (2.0, 17.4))]
    cells += [("single", 8 / 255, s, share, 20.0) for s, share in ((0.0, 0.3), (0.5, 0.4))]
    record = points("tradeoff", cells)
    assert found([record], "tradeoff.psnr.start").findings[0].words == "30.00\u202fdB"
    end = found([record], "tradeoff.psnr.end")
    assert (end.status, end.findings[0].protocol) == ("reproduced", "sigma 2")
    assert found([record], "tradeoff.optimum").status == "reproduced"


@pytest.mark.parametrize(("wide", "status"), [(0.9, "reproduced"), (0.5, "not reproduced")])
def test_what_wide_latents_let_pass(wide: float, status: str) -> None:
    cells = [("single", 8 / 255, None, 0.3, 26.0)]
    records = [
        points("bottleneck", cells, trial=n, passed=passed, extra={"latent_channels": channels})
        for n, (channels, passed) in enumerate(((512, wide), (16, 0.6)))
    ]
    one = found(records, "bottleneck.wide")
    assert one.status == status
    assert one.findings[0].value == pytest.approx(100 * (wide - 0.6))
    assert "512 over 16 channels" in one.findings[0].protocol


def test_speed_is_a_ratio_of_medians() -> None:
    contestants = {
        "one": {"what": "draw", "backend": "eager", "threads": 1},
        "slow": {"what": "draw", "backend": "other", "threads": 1},
        "peer diffpure": {"what": "peer", "peer": "diffpure", "settings": {"steps": 100}},
    }
    times = {"one": 2.0, "slow": 9.0, "peer diffpure": 1000.0}
    names = [name for name in contestants for _ in range(5)]
    columns = {
        "batch": np.ones(len(names), int),
        "contestant": np.array(names),
        "round": np.tile(np.arange(5), len(contestants)),
        "ms": np.array([times[name] for name in names]),
    }
    header = {"kind": "bench", "name": "b", "contestants": contestants, **CIFAR10}
    bench = Kept("bench.json", Record(header, columns))
    one = found([bench], "speed.diffusion")
    assert [(each.protocol, each.value) for each in one.findings] == [("one draw", 500.0)]
    assert one.status == "reproduced"
    contestants["peer diffpure"]["settings"]["steps"] = 4
    short = Kept("bench.json", Record({**header, "contestants": contestants}, columns))
    assert judge([short]) == [], "four steps are no iterative purifier"


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


def test_the_totals_count_every_claim_once() -> None:
    finding = Finding("single", 1.0, "1", "", True, ("a.json",))
    one = Judged("a", "s", "Table II", "1", 1.0, "about", "run it", (finding,))
    both = replace(one, findings=(finding, replace(finding, protocol="eot", holds=False)))
    judged = [one, replace(one, findings=()), both, both]
    assert totals(judged) == [
        ("reproduced", "1 reproduced"),
        ("only", "2 true only under a protocol"),
        ("not measured", "1 not measured"),
    ]
    assert [row["rank"] for row in claims_part(judged)["rows"]] == [0, 3, 1, 1]
    assert both.as_json()["verdict"] == "true only under `single`"
