"""Steps and calls that are timed on the classifier and the pictures of a user."""

from __future__ import annotations

import pytest

import alp
from alp import Linf
from alp.cli.timings import per_second
from alp.evaluation import EvalConfig
from alp.protection import measure


@pytest.mark.slow
@pytest.mark.parametrize("patience", [0.0, 1e9], ids=["one gradient", "every kind of call"])
def test_an_evaluation_is_timed_task_by_task(monkeypatch, patience: float) -> None:
    monkeypatch.setattr(measure, "PATIENCE", patience)
    monkeypatch.setattr(measure, "JUDGED", 2)
    model = alp.load("cifar10-lite/adversarial")
    data = alp.load_data("shapes", "test")
    model.classes = data.classes
    found = measure.judging_rates([model], data, EvalConfig("quick", Linf(8 / 255)))
    assert all(each >= 0 for each, _ in found)
    assert sum(each for each, _ in found) > 0
    assert {most for _, most in found} == {32, 2**31}


def test_a_slow_model_has_a_throughput_too() -> None:
    assert [per_second(each) for each in (1234.5, 12.3, 1.26, 0.19)] == [
        "1,234",
        "12",
        "1.3",
        "0.19",
    ]
