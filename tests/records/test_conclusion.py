"""Verdict records to accuracies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alp.errors import RecordError
from alp.records import Record, conclude, robust_share, worst

ENTRIES = [
    {"name": "a", "level": "eot", "closing": False},
    {"name": "b", "level": "score", "closing": False},
    {"name": "c", "level": "eot", "closing": True},
]
COLUMNS = {
    "psnr": np.full(4, 26.0),
    "clean_select": np.array([2, 2, 2, 0]),
    "clean_fresh": np.array([2, 2, 2, 1]),
    "a_attacked": np.array([True] * 4),
    "a_select": np.array([0, 1, 2, 1]),
    "a_fresh": np.array([0, 0, 0, 0]),
    "b_attacked": np.array([True] * 4),
    "b_select": np.array([1, 1, 2, 2]),
    "b_fresh": np.array([2, 2, 2, 2]),
    "c_attacked": np.array([False, True, True, False]),
    "c_select": np.array([-1, 0, 2, -1]),
    "c_fresh": np.array([-1, 1, 1, -1]),
}
HEADER = {
    "kind": "verdict", "name": "toy", "trial": 0, "draws": 4, "suite": "tiny", "evaluations": 2,
    "entries": ENTRIES, "sigma": None, "warnings": [],
    "checks": [{"check": "null", "passed": False, "words": "randomness suspected"}],
}  # fmt: skip


def test_an_image_is_judged_by_other_predictions_than_it_was_selected_by() -> None:
    """Image by image: a broken by `a`; c below a; nothing below clean; clean already wrong."""
    assert worst(COLUMNS, ["a", "b", "c"], 2).tolist() == [0, 0.5, 1, 0.5]
    assert worst(COLUMNS, ["a"], 2).tolist() == [0, 0, 1, 0.5]
    assert worst(COLUMNS, [], 2).tolist() == [1, 1, 1, 0.5]


def test_the_numbers_of_a_verdict() -> None:
    found = conclude(Record(HEADER, COLUMNS))
    assert found["clean"]["value"] == 7 / 8
    assert found["levels"]["eot"]["value"] == 3 / 8
    assert found["levels"]["score"]["value"] == 7 / 8
    assert found["worst"]["value"] == 0.5
    assert found["majority"]["value"] == 1 / 4
    assert found["worst_of_r"]["value"] == 1 / 4
    assert found["worst"]["low"] < 0.5 < found["worst"]["high"]
    assert found["suspicions"] == ["randomness suspected"]
    assert robust_share(Record(HEADER, COLUMNS)).tolist() == [0, 0.5, 1, 0.5]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(0.05, 0.95))
def test_choosing_among_equals_does_not_flatter_the_attacker(seed, entries, p) -> None:
    """All candidates of an image are right equally often: the choice changes nothing."""
    random, n, rounds = np.random.default_rng(seed), 4000, 3
    columns = {f"clean_{part}": random.binomial(rounds, p, n) for part in ("select", "fresh")}
    for name in range(entries):
        columns[f"{name}_attacked"] = np.ones(n, dtype=bool)
        for part in ("select", "fresh"):
            columns[f"{name}_{part}"] = random.binomial(rounds, p, n)
    share = worst(columns, [str(name) for name in range(entries)], rounds).mean()
    assert abs(share - p) < 6 * np.sqrt(p * (1 - p) / (n * rounds))


@pytest.mark.parametrize("missing", ["a_select", "clean_fresh", "psnr"])
def test_a_record_that_lacks_a_column_is_refused(missing: str) -> None:
    columns = {name: values for name, values in COLUMNS.items() if name != missing}
    with pytest.raises(RecordError, match=missing):
        conclude(Record(HEADER, columns))


@pytest.mark.parametrize("missing", ["entries", "evaluations", "checks"])
def test_a_record_that_lacks_a_field_is_refused(missing: str) -> None:
    header = {name: value for name, value in HEADER.items() if name != missing}
    with pytest.raises(RecordError, match=missing):
        conclude(Record(header, COLUMNS))


def test_a_record_of_another_kind_is_refused() -> None:
    for read in (conclude, robust_share):
        with pytest.raises(RecordError, match="'robustness'"):
            read(Record(HEADER | {"kind": "robustness"}, COLUMNS))
