"""What each stage optimises, against its formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

from alp.config import ClassifierConfig, DiffusionConfig, PurifierConfig, RateConfig
from alp.defences import Defended, Purifier, ResNetLite
from alp.defences.assemble import assemble
from alp.defences.checkpoint import load_model, save, weights_digest
from alp.defences.diffusion import Diffusion
from alp.defences.magnet import MagNet
from alp.defences.smoothed import Smoothed
from alp.errors import ConfigError
from alp.seeding import generator, initialising, uniform
from alp.training import AdversaryConfig, ClassifierStage, JointStage, PurifierStage
from alp.training.base import Start, build_task
from alp.training.losses import target_mse
from alp.training.tasks import ClassifierTask, JointTask, PurifierTask, divergence

Y = torch.arange(6) % 4


@pytest.fixture
def x() -> torch.Tensor:
    return uniform((6, 3, 16, 16), generator(0, "x"))


@pytest.fixture
def purifier() -> Purifier:
    with initialising(0, "purifier"):
        return Purifier(PurifierConfig(8, 8, 1, stop_gradient=True))


@pytest.fixture
def classifier() -> ResNetLite:
    with initialising(0, "classifier"):
        return ResNetLite(ClassifierConfig("tiny", 4))


def source() -> torch.Generator:
    return generator(0, "step")


def parts(task: PurifierTask, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean squared error of the draw, and nats an image, by hand."""
    model = task.model
    mu = model.encode(x)
    image = model.decode(model.noise(mu, source()), (16, 16))
    variance = model.noise.sigma**2
    nats = (0.5 * (mu**2 + variance - 1 - variance.log())).sum((1, 2, 3)).mean()
    return F.mse_loss(image, x), nats


@pytest.mark.parametrize("objective", ["mse", "elbo", "constrained"])
def test_the_objectives_of_the_purifier(purifier: Purifier, x, objective: str) -> None:
    rate = RateConfig(objective, psnr=20.0, beta=0.01)
    task = PurifierTask(PurifierStage(rate=rate), purifier)
    task.log_multiplier.fill_(0.7)
    mse, nats = parts(task, x)
    expected = {
        "mse": mse,
        "elbo": mse + 0.01 * nats,
        "constrained": nats / (3 * 16 * 16) + math.exp(0.7) * mse / 0.01,
    }[objective]
    scalars = task(x, x, Y, source())
    assert torch.allclose(scalars["loss"], expected, rtol=1e-5)
    assert torch.allclose(scalars["mse"], mse)
    assert scalars["sigma"] == purifier.sigma
    assert torch.allclose(scalars["bits_per_latent"], nats / (8 * 16) / math.log(2))


@pytest.mark.parametrize(("objective", "moves"), [("constrained", True), ("mse", False)])
def test_the_multiplier_follows_the_distortion(purifier, objective: str, moves: bool) -> None:
    task = PurifierTask(PurifierStage(rate=RateConfig(objective, psnr=20.0)), purifier)
    task.observe({"mse": 2 * target_mse(20.0)})
    assert (float(task.log_multiplier) > 0) is moves
    assert "log_multiplier" in task.state_dict()  # or a resumed training would start over


def test_no_gradient_of_the_purifier_is_cut_in_training(purifier: Purifier, x) -> None:
    """Whatever stop_gradient says: it is an option of the defence, not of the training."""
    task = PurifierTask(PurifierStage(), purifier).train()
    task(x, x, Y, source())["loss"].backward()
    unused = {name for name, p in purifier.named_parameters() if p.grad is None}
    assert unused == set()


def test_divergence() -> None:
    clean, attacked = torch.randn(2, 5, 4, generator=source())
    expected = kl_divergence(Categorical(logits=clean), Categorical(logits=attacked)).mean()
    assert torch.allclose(divergence(clean, attacked), expected, atol=1e-6)
    assert divergence(clean, clean).abs() < 1e-6


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_the_attacked_images(classifier, x, smoothing: float) -> None:
    stage = ClassifierStage(label_smoothing=smoothing)
    task = ClassifierTask(stage, classifier, None).eval()
    attacked = 1 - x
    logits = classifier(attacked)
    target = (1 - smoothing) * F.one_hot(Y, 4) + smoothing / 4
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    scalars = task(x, attacked, Y, source())
    assert torch.allclose(scalars["loss"], expected)
    assert scalars["accuracy"] == (logits.argmax(1) == Y).float().mean()


def test_trades_is_clean_loss_and_agreement(classifier, x) -> None:
    stage = ClassifierStage(adversary=AdversaryConfig("trades", beta=3.0))
    task = ClassifierTask(stage, classifier, lambda target, x, y, source: x).eval()
    attacked = 1 - x
    clean, out = classifier(x), classifier(attacked)
    expected = F.cross_entropy(clean, Y) + 3 * divergence(clean, out)
    assert torch.allclose(task(x, attacked, Y, source())["loss"], expected)


def test_agreement_counts_beside_the_attacked_images(classifier, x) -> None:
    task = ClassifierTask(ClassifierStage(agreement=3.0), classifier, None).eval()
    attacked = 1 - x
    clean, out = classifier(x), classifier(attacked)
    expected = F.cross_entropy(out, Y) + 3 * divergence(clean, out)
    assert torch.allclose(task(x, attacked, Y, source())["loss"], expected)


@pytest.mark.parametrize("method", ["nfgsm", "pgd", "trades"])
def test_the_adversary_gets_the_model_and_the_labels(classifier, x, method: str) -> None:
    """Trades moves images away from the clean prediction, the others from the label."""
    seen = {}

    def perturb(target, images, labels, source):
        seen.update(labels=labels, logits=target(images), source=source)
        return 1 - images

    task = ClassifierTask(ClassifierStage(adversary=AdversaryConfig(method)), classifier, perturb)
    given = source()
    assert torch.equal(task.eval().attack(x, Y, given), 1 - x)
    assert torch.allclose(seen["logits"], classifier(x))
    assert seen["logits"].requires_grad
    assert seen["source"] is given
    if method == "trades":
        assert torch.allclose(seen["labels"], classifier(x).softmax(1))
        assert not seen["labels"].requires_grad
    else:
        assert torch.equal(seen["labels"], Y)


def test_without_an_adversary_nothing_is_attacked(classifier, x) -> None:
    assert ClassifierTask(ClassifierStage(), classifier, None).attack(x, Y, source()) is x


@pytest.mark.parametrize("method", ["none", "pgd"])
def test_adversary_and_perturbation_go_together(classifier, method: str) -> None:
    perturb = (lambda target, x, y, source: x) if method == "none" else None
    with pytest.raises(ConfigError, match=rf"adversary\.method is '{method}'"):
        ClassifierTask(ClassifierStage(adversary=AdversaryConfig(method)), classifier, perturb)


def test_an_adversary_sees_through_the_purifier(purifier, classifier, x) -> None:
    """Its gradient has to flow in training, though the defence is configured to cut it."""
    model = Defended(classifier, purifier)
    seen = []

    def perturb(target, images, labels, source):
        point = images.clone().requires_grad_()
        seen.append(torch.autograd.grad(target(point).square().sum(), point)[0])
        return images

    stage = ClassifierStage(adversary=AdversaryConfig("pgd"))
    ClassifierTask(stage, model, perturb).train().attack(x, Y, source())
    assert (seen[0] != 0).any()


@pytest.mark.parametrize("draws", [1, 3])
def test_a_classifier_is_trained_on_as_many_draws_as_asked(purifier, classifier, x, draws) -> None:
    model = Defended(classifier, purifier, draws=20)
    task = ClassifierTask(ClassifierStage(draws=draws), model, None).eval()
    expected = F.cross_entropy(model(x, source(), draws=draws), Y)
    assert torch.allclose(task(x, x, Y, source())["loss"], expected)


@pytest.mark.parametrize("kind", [ClassifierStage, JointStage])
def test_the_purifier_is_trained_in_the_joint_stage_alone(
    purifier, classifier, x, toy, tmp_path, kind
) -> None:
    front, head = tmp_path / "purifier", tmp_path / "classifier"
    save(purifier, front)
    save(classifier, head)
    task = build_task(kind(), Start(toy, 0, front, head))
    model = task.model.train()
    task(x, x, Y, source())["loss"].backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    trained = {name.split(".")[0] for name in gradients}
    assert trained == ({"classifier", "purifier"} if kind is JointStage else {"classifier"})
    if kind is JointStage:
        assert gradients.keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize("name", ["jpeg", "one-step"])
def test_a_classifier_is_trained_behind_any_transformation(classifier, toy, tmp_path, name) -> None:
    """What transforms the image is that of the file, and stays as it is."""
    diffusion = Diffusion(DiffusionConfig(width=8)) if name == "one-step" else None
    save(assemble(name, ResNetLite(ClassifierConfig("tiny", 4)), diffusion), tmp_path / "front")
    save(classifier, tmp_path / "classifier")
    start = Start(toy, 0, tmp_path / "front", tmp_path / "classifier")
    task = build_task(ClassifierStage(), start)
    assert weights_digest(task.model.classifier) == weights_digest(classifier)
    images = toy.batch(torch.arange(4))[0]
    task.train()(images, images, Y[:4], source())["loss"].backward()
    trained = {
        each.split(".")[0] for each, p in task.model.named_parameters() if p.grad is not None
    }
    assert trained == {"classifier"}
    model = task.model.eval()
    assert set(start.parents) == {"classifier", "purifier"}
    save(model, tmp_path / "trained")
    found = load_model(tmp_path / "trained")
    assert torch.equal(found(images, source()), model(images, source()))


def test_a_classifier_is_not_trained_behind_anothers_detectors(classifier, toy, tmp_path) -> None:
    save(MagNet(classifier), tmp_path / "magnet")
    save(classifier, tmp_path / "classifier")
    with pytest.raises(ConfigError, match="detectors of this MagNet were fitted to its own"):
        build_task(ClassifierStage(), Start(toy, 0, tmp_path / "magnet", tmp_path / "classifier"))


def test_a_classifier_is_not_trained_behind_votes(classifier, toy, tmp_path) -> None:
    save(Smoothed(classifier.eval(), 0.25), tmp_path / "votes")
    save(classifier, tmp_path / "classifier")
    with pytest.raises(ConfigError, match=r"votes have no gradient.*'alp train certified'"):
        build_task(ClassifierStage(), Start(toy, 0, tmp_path / "votes", tmp_path / "classifier"))


def test_the_terms_of_the_joint_loss(purifier, classifier, x) -> None:
    """Each weight adds its term, and no other; the noise is the same in all of them."""
    model, attacked = Defended(classifier, purifier).eval(), 1 - x

    def loss(**weights: float) -> torch.Tensor:
        stage = JointStage(**{"agreement": 0.0, "reconstruction": 0.0, "rate": 0.0, **weights})
        return JointTask(stage, model, None).eval()(x, attacked, Y, source())["loss"]

    plain = loss()
    draws = source()
    out = model(attacked, draws, draws=1)
    assert torch.allclose(plain, F.cross_entropy(out, Y))
    mu = purifier.encode(x)
    image = purifier.decode(purifier.noise(mu, draws), (16, 16))
    assert torch.allclose(loss(reconstruction=2.0) - plain, 2 * F.mse_loss(image, x), rtol=1e-3)
    variance = purifier.noise.sigma**2
    nats = (0.5 * (mu**2 + variance - 1 - variance.log())).sum((1, 2, 3)).mean()
    assert torch.allclose(loss(rate=2.0) - plain, 2 * nats / (3 * 16 * 16), rtol=1e-3)
    draws = source()
    out, clean = model(attacked, draws, draws=1), model(x, draws, draws=1)
    assert torch.allclose(loss(agreement=2.0) - plain, 2 * divergence(clean, out), atol=1e-5)
