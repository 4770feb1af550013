"""The stage of HGD: whose images it is trained on, what it is guided by, and what stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from alp.config import ClassifierConfig
from alp.defences import ResNetLite
from alp.defences.checkpoint import load_model
from alp.defences.hgd import HGD
from alp.errors import ConfigError
from alp.seeding import generator, initialising, normal, uniform
from alp.training import HGDStage
from alp.training.hgd import HGDTask
from alp.training.train import train

X = uniform((4, 3, 8, 8), generator(0, "images"))
Y = torch.arange(4)


@pytest.fixture
def heads() -> list[ResNetLite]:
    with initialising(0, "heads"):
        return [ResNetLite(ClassifierConfig("tiny", 4)).eval() for _ in range(3)]


def asked_of(heads: list[ResNetLite], stage: HGDStage) -> tuple[HGDTask, list[tuple]]:
    """A task, and what its attack was asked for: model, radius, steps."""
    asked: list[tuple] = []

    def iterated(model, x, y, eps, steps, source) -> Tensor:
        asked.append((model, eps, steps))
        return x

    with initialising(0, "hgd"):
        model = HGD(heads[0], 4)
    return HGDTask(stage, model, heads, iterated), asked


def test_each_step_draws_a_source_a_radius_and_a_number_of_steps(heads) -> None:
    stage = HGDStage(eps=0.1, steps=3)
    task, asked = asked_of(heads, stage)
    for step in range(60):
        task.attack(X, Y, generator(0, "step", step))
    assert {heads.index(model) for model, _, _ in asked} == {0, 1, 2}
    assert {steps for *_, steps in asked} == {1, 2, 3}
    radii = [eps for _, eps, _ in asked]
    assert 0 < min(radii) < 0.02
    assert 0.08 < max(radii) <= 0.1


def test_the_loss_is_the_distance_of_the_logits(heads) -> None:
    task, _ = asked_of(heads, HGDStage())
    attacked = (X + 0.05 * normal(X.shape, generator(0, "noise"))).clamp(0, 1)
    with torch.no_grad():  # the denoiser starts as the identity
        wanted = (heads[0](attacked) - heads[0](X)).abs().mean()
    scalars = task(X, attacked, Y, generator(0, "step"))
    assert float(scalars["loss"].detach()) == pytest.approx(float(wanted), rel=1e-4)
    scalars["loss"].backward()
    learning = {name for name, each in task.named_parameters() if each.grad is not None}
    assert learning
    assert all("denoiser" in name for name in learning)
    task.train()
    assert not any(each.training for head in heads for each in head.modules())


def test_the_classifier_stays(toy, parents, engine, short, tmp_path) -> None:
    stage = HGDStage(width=4, optim=short(optimizer="adamw", lr=3e-3))
    path = parents["classifier"]
    whole = train(stage, tmp_path, toy, engine=engine, classifier=path, others=[path])
    model, head = load_model(whole.path), load_model(path)
    assert isinstance(model, HGD)
    pairs = zip(model.classifier.state_dict().values(), head.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert set(whole.record["parents"]) == {"classifier", "source-1"}
    with pytest.raises(ConfigError, match="HGDStage needs weights of a classifier"):
        train(stage, tmp_path / "other", toy)


def test_any_size_of_image_works(heads) -> None:
    model = HGD(heads[0], 4).eval()
    with torch.no_grad():
        model.denoiser.head[0].weight.add_(0.1)
    x = uniform((1, 3, 9, 7), generator(0, "odd"))
    purified = model.purify(x, generator(0, "peer"))
    assert purified.shape == x.shape
    assert not torch.equal(purified, x)


@pytest.mark.parametrize("change", [{"eps": 0.0}, {"steps": 0}, {"width": 0}])
def test_impossible_settings_are_refused(change) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        replace(HGDStage(), **change)
