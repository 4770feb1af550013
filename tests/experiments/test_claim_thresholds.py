"""Both sides of what makes a claim of the paper count as reproduced."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alp.experiments import findings
from alp.experiments.claims import Claim, claims
from alp.experiments.findings import judge
from alp.experiments.measures import MEASURES, Value
from alp.records import Kept
from alp.records.statistics import Interval

ROWS = {"baseline": 0.1, "ALP standalone": 0.3, "AT": 0.5, "A-ALP + AT": 0.9}
CLAIMS = {claim.id: claim for claim in claims()}


@pytest.fixture
def holds(monkeypatch):
    """Whether a claim holds where this is measured, and nothing of any other claim."""

    def judged(claim: Claim, measured: float, interval: Interval | None = None) -> bool:
        monkeypatch.setattr(findings, "claims", lambda: (claim,))
        value = Value("", measured, [], interval)
        monkeypatch.setitem(MEASURES, claim.quantity, lambda runs, about: [value])
        (one,) = judge([])
        (finding,) = one.findings
        agrees = "by construction" if claim.by_construction else "reproduced"
        assert one.status == (agrees if finding.holds else "not reproduced")
        return finding.holds

    return judged


@pytest.mark.parametrize("name", [id for id, each in CLAIMS.items() if each.criterion == "about"])
def test_a_number_may_be_off_by_its_tolerance_and_no_more(name: str, holds) -> None:
    claim = CLAIMS[name]
    assert holds(claim, claim.value)
    for way in (-1, 1):
        assert holds(claim, claim.value + way * claim.tolerance * 0.999)
        assert not holds(claim, claim.value + way * (claim.tolerance * 1.001 + 1e-6))


def test_the_tolerance_itself_is_allowed(holds) -> None:
    claim = CLAIMS["hierarchy.baseline.robust"]
    assert claim.value == 0
    for way in (-1, 1):
        assert holds(claim, way * 0.5)
        assert not holds(claim, way * 0.5000001)


BOUNDS = [id for id, each in CLAIMS.items() if each.criterion not in ("about", "between")]


def test_a_range_has_two_ends(holds) -> None:
    claim = CLAIMS["speed.diffusion"]
    assert (claim.value, claim.upper) == (100, 1000)
    assert holds(claim, 100)
    assert holds(claim, 1000)
    assert not holds(claim, 99.999)
    assert not holds(claim, 1000.001)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_may_be_reached_and_not_missed(name: str, holds) -> None:
    claim = CLAIMS[name]
    above = claim.criterion != "at most"
    assert holds(claim, claim.value) is (claim.criterion != "more than")
    assert holds(claim, claim.value + 1e-6) is above
    assert holds(claim, claim.value - 1e-6) is not above


def test_more_than_a_bound_has_to_be_sure(holds) -> None:
    """The whole interval lies above it; for other criteria the number alone counts."""
    sure = [each for each in CLAIMS.values() if each.criterion == "more than"]
    assert sure
    for claim in sure:
        value = claim.value + 1
        assert holds(claim, value, Interval(claim.value + 1e-6, value + 1))
        assert not holds(claim, value, Interval(claim.value, value + 1))
    claim = CLAIMS["hierarchy.gain"]
    assert holds(claim, 3.8, Interval(-9.0, 9.0))
    assert holds(replace(claim, criterion="at most"), 3.8, Interval(-9.0, 9.0))


@pytest.fixture
def order(make_record):
    """The findings on the order of the rows where one row, or every row, lacks something."""

    def found(without: str = "", other_images: str = ""):
        kept = []
        for number, (name, share) in enumerate(ROWS.items()):
            record = make_record(name, single=share, knowledge={"single": "s", "masked": "m"})
            if name != without:
                record.columns["masked_correct"] = record.columns["single_correct"]
            if name == other_images:
                record.header["data_digest"] = "ee" * 32
            record.header["item"] = "hierarchy"
            kept.append(Kept(f"hierarchy/records/{number}.json", record))
        return next(each for each in judge(kept) if each.id == "hierarchy.order").findings

    return found


def test_the_order_of_the_rows_is_judged_where_every_row_was_attacked(order) -> None:
    """A level that one row lacks says nothing, and takes no other level with it."""
    (finding,) = order(without="AT")
    assert (finding.protocol, finding.holds) == ("single", True)
    assert finding.value == pytest.approx(20)


def test_rows_of_other_images_have_no_order(order) -> None:
    assert [each.protocol for each in order()] == ["single", "masked"]
    assert order(other_images="AT") == ()
