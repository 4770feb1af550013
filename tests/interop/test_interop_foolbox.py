"""A defended model inside foolbox.PyTorchModel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from alp.attacks import PGD, Linf, Square
from alp.evaluation import evaluate
from alp.evaluation.suites import SUITES, Entry, Probes
from alp.records import conclude
from alp.seeding import initialising

pytestmark = pytest.mark.slow

foolbox = pytest.importorskip("foolbox")
EPS = 0.1


@pytest.fixture
def wrapped(defended):
    return foolbox.PyTorchModel(defended, bounds=(0, 1), device="cpu")


def test_its_pgd_attacks_the_model(defended, wrapped, batch, check) -> None:
    with initialising(0, "foolbox"):
        attack = foolbox.attacks.LinfPGD(steps=10)
        _, x_adv, broken = attack(wrapped, *batch, epsilons=EPS)
    check(x_adv, EPS)
    assert broken.float().mean() > 0.3


def test_its_accuracy_is_the_models(wrapped, batch) -> None:
    assert foolbox.utils.accuracy(wrapped, *batch) > 0.9


def test_the_wrapped_model_can_be_evaluated(wrapped, images) -> None:
    """A callable like any other: random, of which only its answers are known."""
    quick = SUITES["quick"]("linf")
    suite = replace(
        quick,
        opening=(Entry("single", PGD(4)), Entry("score", Square(4), 2, "logits")),
        closing=(),
        probes=Probes(images=2, steps=(2, 4), draws=2),
    )
    record = evaluate(wrapped, images.subset(torch.arange(6)), Linf(EPS), suite, draws=2)
    found = conclude(record)
    assert found["clean"]["value"] > 0.9
    assert found["worst"]["value"] < found["clean"]["value"]
    assert any("nobody can seed" in warning for warning in record.header["warnings"])
