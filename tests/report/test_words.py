from __future__ import annotations

import pytest

from alp.report.format import (
    attack_words,
    grey_levels,
    interval,
    percent,
    row_words,
    threat_words,
    timing_words,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (8 / 255, "8/255"),
        (1 / 255, "1/255"),
        (0.1, "0.1"),
        (0.0, "0"),
        (1.0, "255/255"),
        (1e-7, "1e-07"),
    ],
)
def test_grey_levels(value, words):
    assert grey_levels(value) == words


def test_threats():
    assert threat_words({"name": "linf", "eps": 4 / 255}) == "L∞, ε\u202f=\u202f4/255"
    assert threat_words({"name": "l2", "eps": 0.5}) == "L2, ε\u202f=\u202f0.5"
    assert threat_words({"name": "Patch", "size": 3}) == "Patch"


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        ({"name": "fgsm", "loss": "ce"}, "FGSM: cross-entropy loss"),
        ({"name": "bim", "steps": 1, "step_size": 2 / 255}, "BIM: 1 step of 2/255"),
        ({"name": "pgd", "steps": 7, "step_size": None, "restarts": 2}, "PGD: 7 steps, 2 restarts"),
        ({"name": "square", "queries": 500}, "SQUARE: queries 500"),
        ({"name": "mine"}, "MINE"),
    ],
)
def test_attacks(attack, words):
    assert attack_words(attack, {"name": "linf", "eps": 8 / 255}) == words


def test_a_length_in_l2_is_no_grey_level():
    attack = {"name": "pgd", "steps": 7, "step_size": 51 / 255}
    assert attack_words(attack, {"name": "l2", "eps": 0.5}) == "PGD: 7 steps of 0.2"


def test_numbers():
    assert percent(0.32061) == "32.1\u202f%"
    assert percent(0.32061, 2) == "32.06\u202f%"
    assert interval({"low": 0.2934, "high": 0.3505}) == "29.3\u201335.0"
    assert row_words({"draws": 1, "trials": 5}) == "1 draw, 5 trials"


def test_timings():
    full = {"images": 1, "device": "cpu", "threads": 2, "predict": {}}
    assert timing_words(full) == "1 image, cpu, 2 threads"
    assert timing_words({}) == ""
