"""Tables as data."""

from __future__ import annotations

import json
import math

import pytest

from alp.errors import RecordError
from alp.experiments.claims import published
from alp.experiments.reproduce import section_of, table

CLAIMS = published("cifar10", ["single"])


def test_measurement_and_claim_side_by_side(make_record) -> None:
    records = [make_record(single=share, trial=n) for n, share in enumerate((0.3, 0.4))]
    content = table(section_of(records, CLAIMS), CLAIMS)
    (row,) = content["rows"]
    assert (row["name"], row["draws"], row["trials"]) == ("A-ALP + AT", 20, 2)
    assert row["robust"]["single"]["value"] == pytest.approx(0.35)
    assert row["robust"]["single"]["sd"] == pytest.approx(0.1 / math.sqrt(2))
    assert row["published"]["single"] == pytest.approx(0.3206)
    assert content["protocol"]["threat"]["eps"] == 8 / 255
    assert content["protocol"]["knowledge"] == {"single": "one draw"}


def test_latency_is_left_out_and_changes_nothing(make_record) -> None:
    slow = {"latency": {"predict": {"median_ms": 99.0}}}
    texts = [
        json.dumps(table(section_of([make_record(**header)], CLAIMS), CLAIMS))
        for header in ({}, slow)
    ]
    assert texts[0] == texts[1]
    assert "latency" not in texts[0]


def test_order(make_record) -> None:
    records = [make_record(name) for name in ("mine", "A-ALP + AT", "yours", "baseline")]
    named = [row["name"] for row in section_of(records, CLAIMS).rows]
    assert named == ["baseline", "A-ALP + AT", "mine", "yours"]
    assert [row["name"] for row in section_of(records, {}).rows] == [each.name for each in records]


def test_warnings_name_their_rows(make_record) -> None:
    records = [make_record("a", warnings=["careful"]), make_record("b")]
    assert table(section_of(records, {}), {})["warnings"] == {"careful": ["a"]}


def test_two_protocols_are_no_table(make_record) -> None:
    with pytest.raises(RecordError, match="2 protocols"):
        section_of([make_record(), make_record(data_digest="d2" * 32)], {})
    with pytest.raises(RecordError, match="0 protocols"):
        section_of([], {})


def test_unusable_records_are_refused(make_record) -> None:
    with pytest.raises(RecordError, match="kind"):
        section_of([make_record(kind="other")], {})
