"""Training of a purifier as a denoiser before frozen classifiers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from alp.config import ClassifierConfig, PurifierConfig
from alp.defences import Purifier, ResNetLite
from alp.defences.checkpoint import load_model, weights_digest
from alp.defences.purifier import with_noise
from alp.errors import ConfigError
from alp.seeding import generator, initialising, normal, uniform
from alp.training import DenoiserStage
from alp.training.base import Start, build_task
from alp.training.denoiser import DenoiserTask
from alp.training.train import train

CODE = PurifierConfig(latent_channels=48, width=8, blocks=1)
HEAD = ClassifierConfig(size="tiny", classes=4)
Y = torch.arange(6) % 4


@pytest.fixture
def x() -> torch.Tensor:
    return uniform((6, 3, 16, 16), generator(0, "x"))


def made(stage: DenoiserStage) -> DenoiserTask:
    with initialising(0, "denoiser"):
        head, purifier = ResNetLite(HEAD).eval(), with_noise(Purifier(CODE), 0.0)
    return DenoiserTask(stage, purifier, [head]).train()


def test_the_loss_asks_for_the_decision_on_the_clean_image(x) -> None:
    """Noise of the stage's sigma on the pixels; the labels play no part."""
    task = made(DenoiserStage(sigma=0.5))
    head, model = task.classifiers[0], task.model
    noisy = x + 0.5 * normal(x.shape, generator(0, "step"))
    image = model.decode(model.encode(noisy), (16, 16))
    out, wanted = head(image.clamp(0, 1)), head(x).argmax(1)
    scalars = task(x, x, Y, generator(0, "step"))
    torch.testing.assert_close(scalars["loss"], F.cross_entropy(out, wanted))
    assert torch.equal(scalars["loss"], task(x, x, 3 - Y, generator(0, "step"))["loss"])
    kept = made(DenoiserStage(sigma=0.5, reconstruction=7.0))(x, x, Y, generator(0, "step"))
    torch.testing.assert_close(kept["loss"], scalars["loss"] + 7 * F.mse_loss(image, x))


def test_the_classifier_stays_and_the_latent_gets_no_noise(
    toy, parents, engine, short, tmp_path: Path
) -> None:
    stage = DenoiserStage(optim=short(epochs=1, optimizer="adamw", lr=2e-3))
    task = build_task(stage, Start(toy, classifier=parents["classifier"]))
    before = weights_digest(task.classifiers)
    x, y = toy.batch(torch.arange(16))
    task.train()(x, x, y, generator(0, "step"))["loss"].backward()
    assert weights_digest(task.classifiers) == before
    assert all(each.grad is None for each in task.classifiers.parameters())
    model = load_model(train(stage, tmp_path, toy, engine=engine, **parents).path)
    assert isinstance(model, Purifier)
    assert model.sigma == 0
    assert weights_digest(model) != weights_digest(load_model(parents["purifier"]))


def test_what_cannot_be_a_denoiser_is_refused(toy) -> None:
    stage = DenoiserStage(purifier=CODE)
    with pytest.raises(ConfigError, match="DenoiserStage needs weights of a classifier"):
        build_task(stage, Start(toy))
    with pytest.raises(ConfigError, match=r"DenoiserStage.sigma.*0"):
        replace(stage, sigma=0.0)
