"""The stage of MagNet: what it learns, what stays as it is, and where its thresholds come from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from alp.defences.checkpoint import load_model
from alp.defences.magnet import NEVER, MagNet
from alp.errors import ConfigError
from alp.training import MagNetStage, PurifierStage
from alp.training.train import train


@pytest.fixture
def stage(short) -> MagNetStage:
    return MagNetStage(drop_rate=0.25, optim=short(optimizer="adamw", lr=0.05))


def test_the_autoencoder_learns_and_the_classifier_stays(
    toy, parents, engine, stage, tmp_path
) -> None:
    unseen = replace(toy, split="validation")
    head = load_model(parents["classifier"])
    whole = train(
        stage, tmp_path, toy, engine=engine, classifier=parents["classifier"], validation=unseen
    )
    model = load_model(whole.path)
    assert isinstance(model, MagNet)
    pairs = zip(model.classifier.state_dict().values(), head.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    curve = whole.record["curve"]["loss"]
    assert curve[-1] < 0.9 * curve[0]
    x = toy.images.float() / 255
    share = (model.scores(x) > model.thresholds).float().mean(0)
    assert share.tolist() == pytest.approx(3 * [0.25], abs=0.02)
    assert (model.thresholds < NEVER).all()
    assert whole.record["validation_digest"] == unseen.digest


def test_what_it_needs_is_said(toy, parents, stage, tmp_path) -> None:
    with pytest.raises(ConfigError, match="needs validation images; give them in validation"):
        train(stage, tmp_path, toy, classifier=parents["classifier"])
    with pytest.raises(ConfigError, match="needs weights of a classifier"):
        train(stage, tmp_path, toy, validation=toy)
    with pytest.raises(ConfigError, match="takes no validation images"):
        train(PurifierStage(), tmp_path, toy, validation=toy)
