"""Adversarial training of a purifier before frozen classifiers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from alp.config import ClassifierConfig, PurifierConfig
from alp.defences import Defended, InputNoise, Purifier, ResNetLite
from alp.defences.checkpoint import load_model, save, weights_digest
from alp.defences.purifier import with_noise
from alp.errors import ConfigError
from alp.seeding import generator, initialising, uniform
from alp.training import AdversaryConfig, ClassifierStage, GuardStage
from alp.training.base import Start, build_task
from alp.training.guard import GuardTask, ReturningClamp
from alp.training.tasks import divergence
from alp.training.train import train

CODE = PurifierConfig(latent_channels=48, width=8, blocks=1)
HEAD = ClassifierConfig(size="tiny", classes=4)
Y = torch.arange(6) % 4


@pytest.fixture
def x() -> torch.Tensor:
    return uniform((6, 3, 16, 16), generator(0, "x"))


def made(stage: GuardStage, heads: int = 1, steps: int = 10, seen: list | None = None) -> GuardTask:
    with initialising(0, "guard"):
        classifiers = [ResNetLite(HEAD).eval() for _ in range(heads)]
        purifier = with_noise(Purifier(CODE), stage.sigma)

    def perturb(share: float):
        if seen is not None:
            seen.append(share)
        return lambda target, x, y, source: x

    task = GuardTask(stage, purifier, classifiers, perturb, steps)
    return task.train()


def test_the_loss_has_all_parts_at_their_weights(x) -> None:
    attacked = (x + 0.1).clamp(0, 1)

    def loss(**weights: float) -> dict[str, torch.Tensor]:
        return made(GuardStage(sigma=0.0, **weights))(x, attacked, Y, generator(0, "step"))

    task = made(GuardStage(sigma=0.0))
    head, model = task.classifiers[0], task.model
    size = (16, 16)
    clean, image = (model.decode(model.encode(each), size) for each in (x, attacked))
    out = head(image.clamp(0, 1))
    plain = F.cross_entropy(out, Y)
    torch.testing.assert_close(loss()["loss"], plain)
    kept = loss(reconstruction=7.0)["loss"]
    torch.testing.assert_close(kept, plain + 7 * F.mse_loss(clean, x))
    agreed = loss(agreement=3.0)["loss"]
    torch.testing.assert_close(agreed, plain + 3 * divergence(head(clean.clamp(0, 1)), out))


def test_the_classifier_stays_as_it_is(toy, parents, engine, short, tmp_path: Path) -> None:
    """Its weights and its batch statistics, while the purifier learns."""
    stage = GuardStage(purifier=CODE, optim=short(optimizer="adamw", lr=2e-3))
    task = build_task(stage, Start(toy, classifier=parents["classifier"]))
    before = weights_digest(task.classifiers), weights_digest(task.model)
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], 0.1)
    task.train()
    x, y = toy.batch(torch.arange(16))
    source = generator(0, "step")
    task(x, task.attack(x, y, source), y, source)["loss"].backward()
    optimizer.step()
    assert weights_digest(task.classifiers) == before[0]
    assert weights_digest(task.model) != before[1]


def test_a_saturated_pixel_can_return_but_not_run_away() -> None:
    x = torch.tensor([-1.0, -1.0, 0.5, 0.5, 2.0, 2.0], requires_grad=True)
    slope = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    clamped = ReturningClamp.apply(x)
    assert clamped.tolist() == [0, 0, 0.5, 0.5, 1, 1]
    (slope * clamped).sum().backward()
    assert x.grad.tolist() == [0, -1, 1, -1, 1, 0]


def test_the_radius_grows_to_the_whole(x) -> None:
    seen: list[float] = []
    task = made(GuardStage(curriculum=0.5), steps=10, seen=seen)
    for _ in range(10):
        task.attack(x, Y, generator(0, "step"))
        task.observe({})
    assert seen == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])
    assert made(GuardStage(curriculum=0.0)).share == 1


def test_several_classifiers_share_the_images(x) -> None:
    task = made(GuardStage(), heads=2)
    logits = task.logits(x)
    for row in range(6):
        alone = task.classifiers[row % 2](x[row : row + 1])
        torch.testing.assert_close(logits[row : row + 1], alone, atol=1e-5, rtol=1e-5)


class Killed(Exception):
    pass


@pytest.mark.slow
def test_several_classifiers_are_named_and_resume_to_the_same_bits(
    toy, parents, engine, short, tmp_path: Path
) -> None:
    """Of a defended classifier the guard stands before the classifier inside."""
    front, other, defended = (tmp_path / each for each in ("front", "other", "defended"))
    with initialising(1, "others"):
        one, two = ResNetLite(HEAD).eval(), ResNetLite(HEAD).eval()
        save(one, other)
        save(Defended(two, Purifier(CODE).eval(), 2), defended)
        save(Purifier(CODE), front)
    stage = GuardStage(agreement=1.0, optim=short(epochs=1, optimizer="adamw", lr=2e-3))

    def run(folder: Path, killed_after: int = 0, **changes):
        def report(step: int, steps: int, scalars) -> None:
            if step == killed_after:
                raise Killed

        often = replace(engine, save_every=1e-9)
        return train(
            stage,
            folder,
            toy,
            engine=often,
            purifier=front,
            classifier=parents["classifier"],
            others=changes.get("others", (other, defended)),
            report=report,
        )

    whole = run(tmp_path / "whole")
    held = whole.record["parents"]
    assert list(held) == ["classifier", "classifier-1", "classifier-2", "purifier"]
    assert held["classifier-1"] == weights_digest(one)
    assert held["classifier-2"] == weights_digest(two)
    with pytest.raises(Killed):
        run(tmp_path / "cut", killed_after=3)
    assert run(tmp_path / "cut").record["weights_digest"] == whole.record["weights_digest"]
    alone = run(tmp_path / "alone", others=())
    assert list(alone.record["parents"]) == ["classifier", "purifier"]
    assert alone.record["weights_digest"] != whole.record["weights_digest"]


def test_the_noise_level_is_set_and_stays(toy, parents, engine, short, tmp_path: Path) -> None:
    stage = GuardStage(sigma=0.3, optim=short(epochs=1, optimizer="adamw", lr=2e-3))
    trained = train(stage, tmp_path, toy, engine=engine, **parents)
    model = load_model(trained.path)
    assert isinstance(model, Purifier)
    assert model.sigma == pytest.approx(0.3)
    assert model.config.latent_channels == 8  # those of the weights that it started from
    assert set(trained.record["parents"]) == {"purifier", "classifier"}


def test_another_noise_level_is_a_copy_of_the_same_networks(x) -> None:
    with initialising(0, "purifier"):
        purifier = Purifier(CODE)
    other = with_noise(purifier, 0.0)
    assert other.sigma == 0
    assert purifier.sigma == pytest.approx(0.5)
    torch.testing.assert_close(other.encode(x), purifier.encode(x))
    assert torch.equal(other(x, generator(0, "a")), purifier(x, generator(0, "b"), sigma=0.0))


def test_what_cannot_be_a_guard_is_refused(toy, parents, short, tmp_path: Path) -> None:
    stage = GuardStage(purifier=CODE, optim=short())
    with pytest.raises(ConfigError, match="GuardStage needs weights of a classifier"):
        build_task(stage, Start(toy))
    with pytest.raises(ConfigError, match=r"'trades'.*'nfgsm' or 'pgd'"):
        replace(stage, adversary=AdversaryConfig("trades"))
    other = tmp_path / "other.safetensors"
    save(ResNetLite(ClassifierConfig("tiny", 3)), other)
    with pytest.raises(ConfigError, match="3"):
        build_task(stage, Start(toy, classifier=parents["classifier"], others=(other,)))
    start = Start(toy, classifier=parents["classifier"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResNetLite, "answer", torch.no_grad()(ResNetLite.answer))
        with pytest.raises(ConfigError, match="has no gradient, through which a guard is trained"):
            build_task(stage, start)
    noisy = tmp_path / "noisy.safetensors"
    save(InputNoise(ResNetLite(HEAD), 0.1), noisy)
    with pytest.raises(ConfigError, match=r"noisy.* draws noise of its own \(InputNoise\)"):
        build_task(stage, Start(toy, classifier=parents["classifier"], others=(noisy,)))
    few = GuardStage(purifier=CODE, optim=short(batch_size=1))
    twice = Start(toy, classifier=parents["classifier"], others=(parents["classifier"],))
    with pytest.raises(ConfigError, match=r"2 classifiers share .* optim.batch_size is 1; give 2"):
        build_task(few, twice)
    single = ClassifierStage(HEAD)
    with pytest.raises(ConfigError, match="takes no further classifiers; leave others out"):
        build_task(single, Start(toy, others=(other,)))
