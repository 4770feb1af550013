"""Ensemble adversarial training: whose attacks a step meets, and what stays as it is."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from alp.config import ClassifierConfig
from alp.defences import ResNetLite
from alp.defences.base import classify
from alp.defences.checkpoint import load_model
from alp.errors import ConfigError
from alp.seeding import generator, initialising, uniform
from alp.training import EnsembleStage
from alp.training.ensemble import EnsembleTask
from alp.training.tasks import iterated
from alp.training.train import train

HEAD = ClassifierConfig("tiny", 4)
X = uniform((4, 3, 8, 8), generator(0, "images"))
Y = torch.arange(4)


@pytest.fixture
def heads() -> list[ResNetLite]:
    with initialising(0, "heads"):
        return [ResNetLite(HEAD).eval() for _ in range(3)]


def test_each_step_attacks_a_source_or_the_classifier_itself(heads) -> None:
    asked = []

    def keep(model, x, y, eps, steps, source):
        asked.append((heads.index(model), eps, steps))
        return x

    task = EnsembleTask(EnsembleStage(HEAD, eps=0.1), heads[0], heads[1:], keep)
    for step in range(90):
        task.attack(X, Y, generator(0, "step", step))
    counts = [sum(place == each for place, *_ in asked) for each in range(3)]
    assert min(counts) > 15
    assert {(eps, steps) for _, eps, steps in asked} == {(0.1, 1)}


def test_the_attack_is_fgsm(heads) -> None:
    x = X.clamp(0.2, 0.8)
    found = iterated(heads[1], x, Y, 0.1, 1, generator(0, "attack"))
    point = x.clone().requires_grad_()
    F.cross_entropy(partial(classify, heads[1])(point), Y).backward()
    assert torch.allclose(found, x + 0.1 * point.grad.sign(), atol=1e-6)


def test_the_loss_is_the_mean_over_clean_and_attacked_images(heads) -> None:
    task = EnsembleTask(EnsembleStage(HEAD), heads[0], heads[1:], iterated).eval()
    attacked = (X + 0.1).clamp(0, 1)
    scalars = task(X, attacked, Y, generator(0, "step"))
    both = [F.cross_entropy(heads[0].answer(each), Y) for each in (X, attacked)]
    assert torch.allclose(scalars["loss"], sum(both) / 2)
    scalars["loss"].backward()
    learning = {name.split(".")[0] for name, p in task.named_parameters() if p.grad is not None}
    assert learning == {"model"}
    task.train()
    assert heads[0].training
    assert not any(part.training for head in heads[1:] for part in head.modules())


def test_source_models_are_named_in_the_record(toy, parents, engine, short, tmp_path) -> None:
    stage, path = EnsembleStage(HEAD, optim=short()), parents["classifier"]
    before = load_model(path).state_dict()
    made = train(stage, tmp_path, toy, engine=engine, others=[path, path])
    assert set(made.record["parents"]) == {"source-1", "source-2"}
    assert {"accuracy", "attacked"} <= set(made.record["curve"])
    after = load_model(path).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_without_source_models_it_is_refused(toy, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"needs further classifiers.*--others"):
        train(EnsembleStage(HEAD), tmp_path, toy)


def test_a_radius_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"EnsembleStage\.eps is 0"):
        EnsembleStage(eps=0.0)
