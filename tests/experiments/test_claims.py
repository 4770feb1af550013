"""The published numbers."""

from __future__ import annotations

import pytest

from alp.experiments.claims import claims, published, readings
from alp.experiments.findings import FORMS
from alp.experiments.measures import MEASURES
from alp.experiments.trained import AT, BASELINE, DEFENDED, STANDALONE


def test_table_two_in_the_units_of_the_tables() -> None:
    assert published("cifar10", ["oblivious", "single"]) == {
        BASELINE: {"single": 0.0},
        STANDALONE: {"single": pytest.approx(0.1144), "psnr": 25.68},
        AT: {"single": pytest.approx(0.2826)},
        DEFENDED: {
            "single": pytest.approx(0.3206),
            "psnr": 25.68,
            "sigma": 0.219,
        },
    }


def test_the_rows_come_in_the_order_of_the_paper() -> None:
    assert list(published("cifar10", ["single"])) == [BASELINE, STANDALONE, AT, DEFENDED]


def test_a_claim_about_robustness_needs_its_level() -> None:
    found = published("cifar10", ["masked"])
    assert "single" not in found[DEFENDED]
    assert found[DEFENDED]["psnr"] == 25.68


def test_nothing_is_published_about_other_data() -> None:
    assert published("shapes", ["single"]) == {}


def test_every_reading_says_what_is_written_and_how_it_is_read() -> None:
    assert len(readings()) >= 4
    assert all(written and read for written, read in readings())


def test_names_are_unique_and_units_known() -> None:
    assert len({claim.id for claim in claims()}) == len(claims())
    assert {claim.unit for claim in claims()} <= set(FORMS)
    assert {claim.quantity for claim in claims()} == set(MEASURES)
