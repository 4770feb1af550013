"""The table on the terminal."""

from __future__ import annotations

import re

import numpy as np
import pytest

from alp.cli.tables import show_section
from alp.experiments.claims import published
from alp.experiments.reproduce import section_of
from alp.records import Record

CLAIMS = published("cifar10", ["single"])
IMAGES = 200


def record(name: str, share: float, trial: int = 0) -> Record:
    correct = np.arange(IMAGES) < share * IMAGES
    timed = {"draw": {"median_ms": 1.5}, "predict": {"median_ms": 20.0}}
    return Record(
        {
            "kind": "robustness",
            "name": name,
            "trial": trial,
            "draws": 20,
            "images": IMAGES,
            "data": {"name": "cifar10", "split": "test"},
            "data_digest": "d1" * 32,
            "threat": {"name": "linf", "eps": 8 / 255},
            "attack": {"name": "pgd", "steps": 7, "step_size": 2 / 255},
            "knowledge": {"single": "The attacker sees one draw."},
            "sigma": 0.2,
            "latency": {**timed, "images": 1, "device": "cpu", "threads": 2},
            "warnings": ["careful"],
        },
        {
            "clean_correct": np.ones(IMAGES, bool),
            "psnr": np.full(IMAGES, 25, np.float32),
            "ssim": np.full(IMAGES, 0.9, np.float32),
            "single_correct": correct,
            "single_zero_gradient": np.zeros(IMAGES, bool),
        },
    )


def printed(capsys: pytest.CaptureFixture[str], claims) -> str:
    records = [record("A-ALP + AT", 0.3), record("A-ALP + AT", 0.4, 1), record("AT", 0.25)]
    show_section(section_of(records, claims), claims)
    return capsys.readouterr().out.replace("\u202f", " ")


def test_measurements_intervals_deviations_and_claims(capsys) -> None:
    text = printed(capsys, CLAIMS)
    for part in ("35.0 %", "28.7\u201341.8", "± 7.07", "[32.06 %]", "1.50 ms", "20.00 ms",
                 "2 trials", "1 image, cpu, 2 threads", "careful (A-ALP + AT, AT)",
                 "[ ]: the paper's value"):  # fmt: skip
        assert part in text, part


def test_without_claims_none_are_mentioned(capsys) -> None:
    assert "[" not in printed(capsys, {})


@pytest.mark.parametrize(("columns", "across"), [(200, False), (60, True)])
def test_a_narrow_terminal_gets_a_column_a_defence(capsys, monkeypatch, columns, across) -> None:
    monkeypatch.setattr("alp.cli.console.width", lambda: columns)
    text = printed(capsys, {})
    assert bool(re.search(r"A-ALP \+ AT .* AT ", text)) == across
