from __future__ import annotations

import json

import numpy as np
import pytest

from alp.errors import RecordError
from alp.records import Record, aggregate, summarise
from alp.records.statistics import wilson

CLEAN = [1, 1, 1, 1, 0]
SINGLE = [1, 0, 0, 1, 1]
MASKED = [1, 1, 0, 0, 1]


def _record(single=SINGLE, psnr=(25, 26, 27, 28, 29), columns=None, **header):
    levels = {"single": single, "masked": MASKED}
    return Record(
        {
            "kind": "robustness",
            "name": "toy",
            "trial": 0,
            "draws": 20,
            "images": 5,
            "data": {"name": "toy", "split": "test"},
            "data_digest": "ab",
            "threat": {"name": "linf", "eps": 0.03},
            "attack": {"name": "pgd", "steps": 7},
            "knowledge": dict.fromkeys(levels, "words"),
            "sigma": 0.2,
            "latency": {"predict": {"median_ms": 13.0}},
            "warnings": ["few"],
            **header,
        },
        {
            "clean_correct": np.array(CLEAN, bool),
            "psnr": np.array(psnr, np.float32),
            "ssim": np.array([0.5, 0.6, 0.7, 0.8, 0.9], np.float32),
            **{f"{level}_correct": np.array(row, bool) for level, row in levels.items()},
            **{f"{level}_zero_gradient": np.array([0, 0, 0, 0, 1], bool) for level in levels},
            **(columns or {}),
        },
    )


def test_summary_of_a_record():
    found = summarise(_record())
    assert found["clean"]["value"] == 0.8
    assert (found["clean"]["low"], found["clean"]["high"]) == pytest.approx(wilson(4, 5))
    assert found["robust"]["single"]["value"] == 0.6
    assert found["worst"]["value"] == 0.2, "right clean, under single and under masked: one image"
    assert found["psnr"] == 27
    assert found["ssim"] == pytest.approx(0.7)
    assert found["zero_gradient"] == {"single": 0.2, "masked": 0.2}
    assert (found["sigma"], found["latency_ms"], found["images"]) == (0.2, 13.0, 5)
    assert found["warnings"] == ["few"]


def test_what_is_not_there_is_none_and_the_summary_stays_json():
    found = summarise(_record(psnr=[np.inf] * 5, sigma=None, latency={}))
    assert (found["psnr"], found["sigma"], found["latency_ms"]) == (None, None, None)
    json.dumps(found, allow_nan=False)


def test_aggregate_over_trials():
    second = _record([0, 0, 0, 0, 1], trial=1, sigma=0.3, warnings=["few", "more"])
    row = aggregate([_record(), second])
    assert row["trials"] == 2
    single = row["robust"]["single"]
    assert single["value"] == pytest.approx(0.4)
    assert single["sd"] == pytest.approx(0.2 * 2**0.5)
    assert (single["low"], single["high"]) == pytest.approx(wilson(2, 5)), "not of 10 images"
    assert row["sigma"] == {"value": 0.25, "sd": pytest.approx(0.1 / 2**0.5)}
    assert row["clean"]["sd"] == 0
    assert row["warnings"] == ["few", "more"]


def test_a_single_trial_has_no_deviation():
    row = aggregate([_record(psnr=[np.inf] * 5)])
    assert row["robust"]["single"]["sd"] is None
    assert row["latency_ms"] == {"value": 13.0, "sd": None}
    assert row["psnr"] is None
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize(
    "change",
    [{"draws": 1}, {"threat": {"name": "l2", "eps": 0.03}}, {"name": "x"}, {"data_digest": "cd"}],
)
def test_trials_of_different_protocols_are_not_averaged(change):
    with pytest.raises(RecordError, match=f"differ in {next(iter(change))}"):
        aggregate([_record(), _record(**change)])


def test_other_records_are_refused():
    with pytest.raises(RecordError, match="kind 'sweep'"):
        summarise(_record(kind="sweep"))
    with pytest.raises(RecordError, match=r"lacks .*eot_correct"):
        summarise(_record(knowledge={"single": "", "eot": ""}))
    with pytest.raises(RecordError, match="lacks threat"):
        summarise(
            Record({k: v for k, v in _record().header.items() if k != "threat"}, _record().columns)
        )
    with pytest.raises(RecordError, match="at least one"):
        aggregate([])
