"""Defensive distillation: whose labels, and at which temperature."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from alp.config import ClassifierConfig, PurifierConfig
from alp.defences import Defended, Purifier, ResNetLite
from alp.defences.checkpoint import load_model
from alp.errors import ConfigError
from alp.seeding import generator, initialising, uniform
from alp.training import DistilledStage
from alp.training.distilled import DistilledTask
from alp.training.train import train

HEAD = ClassifierConfig("tiny", 4)
X = uniform((4, 3, 8, 8), generator(0, "images"))
Y = torch.arange(4)


@pytest.fixture
def heads() -> list[ResNetLite]:
    with initialising(0, "heads"):
        return [ResNetLite(HEAD).eval() for _ in range(2)]


def test_the_teacher_is_asked_at_the_same_temperature(heads) -> None:
    pupil, teacher = heads
    task = DistilledTask(DistilledStage(HEAD, temperature=5.0), pupil, teacher).eval()
    scalars = task(X, X, Y, generator(0, "step"))
    with torch.no_grad():
        soft = (teacher(X) / 5).softmax(1)
        wanted = -(soft * (pupil(X) / 5).log_softmax(1)).sum(1).mean()
    assert float(scalars["loss"].detach()) == pytest.approx(float(wanted), rel=1e-5)
    scalars["loss"].backward()
    assert all(each.grad is None for each in teacher.parameters())
    task.train()
    assert pupil.training
    assert not any(part.training for part in teacher.modules())


def test_a_random_teacher_answers_as_it_is_deployed(heads) -> None:
    """All its draws, the noise of the step: so an attacker meets it."""
    pupil, head = heads
    teacher = Defended(head, Purifier(PurifierConfig(latent_channels=8, width=8, blocks=1)), 3)
    task = DistilledTask(DistilledStage(HEAD, temperature=1.0), pupil, teacher).eval()
    found = task(X, X, Y, generator(0, "step"))["loss"]
    with torch.no_grad():
        soft = teacher(X, generator(0, "step"), draws=3).softmax(1)
        wanted = -(soft * pupil(X).log_softmax(1)).sum(1).mean()
    assert float(found.detach()) == pytest.approx(float(wanted), rel=1e-5)


def test_without_a_teacher_the_labels_teach(heads) -> None:
    task = DistilledTask(DistilledStage(HEAD, temperature=5.0), heads[0], None).eval()
    with torch.no_grad():
        wanted = F.cross_entropy(heads[0](X) / 5, Y)
        found = task(X, X, Y, generator(0, "step"))["loss"]
    assert float(found) == pytest.approx(float(wanted), rel=1e-5)


def test_teacher_and_pupil_by_the_same_stage(toy, parents, engine, short, tmp_path) -> None:
    """The pupil is new, whatever the teacher's size, and has the classes of the images."""
    stage = DistilledStage(ClassifierConfig("tiny"), optim=short(optimizer="adamw", lr=2e-3))
    teacher = train(stage, tmp_path / "teacher", toy, engine=engine)
    assert teacher.record["parents"] == {}
    pupil = train(stage, tmp_path / "pupil", toy, engine=engine, classifier=teacher.path)
    assert set(pupil.record["parents"]) == {"classifier"}
    assert pupil.model.config == HEAD
    first, second = (load_model(each.path).state_dict() for each in (teacher, pupil))
    assert not torch.equal(first["head.weight"], second["head.weight"])


def test_a_temperature_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"DistilledStage\.temperature is 0"):
        DistilledStage(temperature=0.0)
