"""Confidences beside accuracies."""

from __future__ import annotations

import numpy as np
import pytest
from test_conclusion import COLUMNS, HEADER

from alp.errors import ConfigError, RecordError
from alp.records import Record, calibration, calibrations, conclude


def test_the_error_of_two_bins_by_hand() -> None:
    """Half of the images claim 0.9 and are right in 3 of 4 cases, half claim 0.3 and never are."""
    found = calibration(
        np.array([0.9] * 4 + [0.3] * 4), np.array([1, 1, 1, 0, 0, 0, 0, 0]), bins=10
    )
    assert found.ece == pytest.approx(0.5 * 0.15 + 0.5 * 0.3)
    assert [each.images for each in found.bins] == [4, 4]
    assert [each.accuracy for each in found.bins] == [0, 0.75]
    assert [(each.low, each.high) for each in found.bins] == [(0.2, 0.3), (0.8, 0.9)]


def test_a_calibrated_classifier_stays_below_its_bound_and_another_does_not() -> None:
    random = np.random.default_rng(0)
    sure = random.uniform(0.3, 1, 2000)
    calibrated = calibration(sure, random.random(2000) < sure)
    assert calibrated.ece < calibrated.perfect < 0.05
    wrong = calibration(sure, random.random(2000) < sure - 0.2)
    assert wrong.ece > 3 * wrong.perfect
    few = calibration(sure[:50], random.random(50) < sure[:50])
    assert few.perfect > 2 * calibrated.perfect


def test_images_without_a_confidence_are_left_out() -> None:
    found = calibration(np.array([1.0, np.nan]), np.array([1.0, 0.0]))
    assert (found.ece, found.images) == (0, 1)


@pytest.mark.parametrize(
    ("sure", "right"),
    [([1.0], [1.0, 0.0]), ([1.5], [1.0]), ([0.5], [-1.0]), ([np.nan], [1.0]), ([], [])],
)
def test_what_are_no_confidences_is_refused(sure, right) -> None:
    with pytest.raises(ConfigError, match="confidences"):
        calibration(np.array(sure), np.array(right))


def test_the_worst_case_has_the_confidences_of_its_candidates() -> None:
    """Image by image: broken by `a`; by `c`; clean twice, of which one is right in half."""
    sure = {
        "clean_confidence": np.array([1.0, 1.0, 1.0, 0.5]),
        "a_confidence": np.array([0.25, 0.5, np.nan, np.nan]),
        "b_confidence": np.array([0.75, np.nan, np.nan, np.nan]),
        "c_confidence": np.array([np.nan, 0.5, np.nan, np.nan]),
    }
    record = Record(HEADER, COLUMNS | sure)
    found = calibrations(record)
    assert found["clean"].ece == 0
    assert found["worst"].ece == pytest.approx(0.25 / 4)
    assert conclude(record)["calibration"]["worst"]["images"] == 4
    none = {name: np.full(4, np.nan) for name in sure}
    assert conclude(Record(HEADER, COLUMNS | none))["calibration"] == {}
    earlier = Record(HEADER, COLUMNS)
    assert conclude(earlier)["calibration"] is None
    with pytest.raises(RecordError, match="evaluate again"):
        calibrations(earlier)
