"""What users and attackers see of a target."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from alp import seeding
from alp.defences import defend
from alp.defences.adapters import (
    Deterministic,
    Encoded,
    Opaque,
    Purified,
    is_random,
    is_repeatable,
    subject_of,
)
from alp.errors import ConfigError
from alp.evaluation import Subject
from alp.seeding import Common, generator

KINDS = (Deterministic, Opaque, Encoded, Purified)


@pytest.fixture
def x(new_images):
    return new_images(3, 16, 16)


@pytest.fixture
def defended(new_classifier, new_purifier):
    return defend(new_classifier(), new_purifier(), draws=3).eval()


class Halves:
    """Only the two halves: a constant latent, and noise on the logits."""

    draws = 6

    def encode(self, x):
        return x.mean((2, 3))

    def decode_classify(self, latent, source, size, *, draws):
        noise = (seeding.normal(latent.shape, source) for _ in range(draws))
        return torch.stack([latent + each for each in noise])


class Noisy(nn.Module):
    """A stochastic model as others write them: it draws from torch's global generator."""

    def forward(self, x):
        return (x + torch.randn_like(x)).flatten(1)[:, :4]


@pytest.mark.parametrize("kind", KINDS)
def test_subjects_have_every_view_of_the_protocol(kind) -> None:
    views = {n: v for n, v in vars(Subject).items() if n[0] != "_" and inspect.isfunction(v)}
    assert set(views) >= {"predict", "sample", "masked", "bpda", "bare", "purify"}
    assert isinstance(kind.stochastic, bool)
    for name, view in views.items():
        own = inspect.signature(getattr(kind, name)).parameters
        assert list(own) == list(inspect.signature(view).parameters)


def test_the_subject_of_a_target(new_classifier, defended, x) -> None:
    assert isinstance(subject_of(new_classifier().eval(), x), Deterministic)
    assert isinstance(subject_of(defended), Purified)
    assert isinstance(subject_of(Halves()), Encoded)
    assert isinstance(subject_of(Noisy().eval(), x), Opaque)
    for target in (defended, Halves(), Noisy().eval()):
        subject = subject_of(target, x)
        assert subject_of(subject) is subject


def test_draws_of_the_deployed_prediction(defended, x) -> None:
    assert subject_of(defended).draws == 3
    assert subject_of(Halves()).draws == 6
    assert subject_of(Noisy().eval(), x).draws == 1
    assert subject_of(Noisy().eval(), x, draws=9).draws == 9
    assert subject_of(defended, x, draws=2).draws == 2
    with pytest.raises(ConfigError, match="answers the same every time"):
        subject_of(lambda x: x.flatten(1), x, draws=9)
    with pytest.raises(ConfigError, match="draws is 0"):
        subject_of(Halves(), x, draws=0)


@pytest.mark.parametrize(
    ("target", "message"),
    [(nn.Linear(2, 2), "training mode"), (3, "give a callable")],
)
def test_targets_that_cannot_be_used(target, message) -> None:
    with pytest.raises(ConfigError, match=message):
        subject_of(target)


def test_every_view_of_a_bare_classifier_is_the_classifier(new_classifier, x) -> None:
    classifier, source = new_classifier().eval(), generator(0, "draw")
    subject, logits = subject_of(classifier), classifier(x)
    assert torch.equal(subject.bare(x), logits)
    assert torch.equal(subject.predict(x, source), logits)
    for view in (subject.sample, subject.masked, subject.bpda):
        assert torch.equal(view(x, source, 5), logits[None])
    assert subject.purify(x, source) is x


def test_the_views_of_a_defended_classifier(defended, x) -> None:
    subject = subject_of(defended)

    def source():
        return generator(0, "draw")

    assert torch.equal(subject.predict(x, source()), defended(x, source()))
    one = defended.classifier(defended.purifier(x, source()))
    for view in (subject.sample, subject.masked, subject.bpda):
        assert torch.allclose(view(x, source(), 1)[0], one, atol=1e-5)
    assert torch.allclose(
        subject.sample(x, source(), 3).mean(0), subject.predict(x, source()), atol=1e-5
    )
    assert torch.equal(subject.bare(x), defended.classifier(x))
    assert torch.equal(subject.purify(x, source()), defended.purifier(x, source()))


@pytest.mark.parametrize(
    ("view", "flows"), [("predict", True), ("sample", True), ("masked", False), ("bpda", True)]
)
def test_where_the_gradient_flows(defended, x, view: str, flows: bool) -> None:
    subject, point = subject_of(defended), x.clone().requires_grad_()
    rest = (generator(0, "draw"), *([2] if view != "predict" else []))
    logits = getattr(subject, view)(point, *rest)
    (gradient,) = torch.autograd.grad(logits.square().sum(), point, allow_unused=True)
    assert (gradient is not None) is flows


def test_bpda_is_the_gradient_of_the_classifier_at_the_purified_image(defended, x) -> None:
    subject, point = subject_of(defended), x.clone().requires_grad_()
    logits = subject.bpda(point, generator(0, "draw"), 1)
    (gradient,) = torch.autograd.grad(logits.square().sum(), point)
    purified = defended.purifier(x, generator(0, "draw")).detach().requires_grad_()
    (expected,) = torch.autograd.grad(defended.classifier(purified).square().sum(), purified)
    assert torch.allclose(gradient, expected, atol=1e-6)


def test_a_stop_gradient_does_not_bind_the_attacker(new_classifier, new_purifier, x) -> None:
    purifier = new_purifier()
    purifier.config = replace(purifier.config, stop_gradient=True)
    masked = defend(new_classifier(), purifier, draws=2).eval()
    point = x.clone().requires_grad_()
    assert torch.autograd.grad(masked(point).sum(), point, allow_unused=True) == (None,)
    logits = subject_of(masked).sample(point, generator(0, "draw"), 1)
    assert torch.autograd.grad(logits.sum(), point)[0].abs().sum() > 0


def test_bpda_around_the_masking_layer_alone_is_the_exact_gradient(defended, x) -> None:
    """What `masked` hides is one layer whose forward pass is the identity plus noise: with the
    identity's derivative in its place the attacker has what `eot` has."""
    subject, point = subject_of(defended), x.clone().requires_grad_()
    mu = defended.encode(point)
    masked = defended.purifier.noise(mu, generator(0, "draw")).detach()
    straight = mu + (masked - mu).detach()
    image = defended.purifier.decode(straight, (x.shape[-2], x.shape[-1])).clamp(0, 1)
    (bpda,) = torch.autograd.grad(defended.classifier(image).square().sum(), point)
    logits = subject.sample(point, generator(0, "draw"), 1)
    (exact,) = torch.autograd.grad(logits.square().sum(), point)
    assert torch.allclose(bpda, exact, atol=1e-6)
    assert exact.abs().sum() > 0


@pytest.mark.parametrize("make", [lambda d: d, lambda d: Halves(), lambda d: Noisy().eval()])
def test_a_bank_of_draws_is_the_same_for_every_subset(make, defended, x) -> None:
    subject = subject_of(make(defended), x)

    def bank(images):
        return subject.sample(images, Common(generator(0, "bank")), 3)

    whole = bank(x)
    assert torch.equal(whole, bank(x))
    for rows in ([2], [2, 0], [1, 1, 2]):
        assert torch.allclose(bank(x[rows]), whole[:, rows], atol=1e-5)
    same = bank(x[[0, 0]])
    assert torch.allclose(same[:, 0], same[:, 1], atol=1e-5)
    assert not torch.allclose(whole[0], whole[1], atol=1e-3)


def test_an_opaque_target_follows_the_generator_and_leaves_the_global_ones_alone(x) -> None:
    subject = subject_of(Noisy().eval(), x)
    before = torch.get_rng_state()
    numbers = str(np.random.get_state(legacy=False))  # noqa: NPY002
    first = subject.sample(x, generator(0, "draw"), 4)
    assert torch.equal(first, subject.sample(x, generator(0, "draw"), 4))
    assert not torch.equal(first, subject.sample(x, generator(1, "draw"), 4))
    assert not torch.equal(first[0], first[1])
    assert torch.equal(before, torch.get_rng_state())
    assert numbers == str(np.random.get_state(legacy=False))  # noqa: NPY002
    for view, rest in (("bare", ()), ("masked", (generator(0, "d"), 1)), ("bpda", (None, 1))):
        with pytest.raises(ConfigError, match=view):
            getattr(subject, view)(x, *rest)


def test_a_target_that_is_rarely_random_is_found(x) -> None:
    def rarely(images):
        draw = torch.rand(())
        return images.flatten(1)[:, :3] * (draw > 1e-9)

    calls = iter(range(100))
    assert is_random(rarely, x)
    assert is_random(lambda images: images.flatten(1) + next(calls), x)
    assert not is_random(lambda images: images.flatten(1), x)


def test_a_target_with_a_source_of_its_own_is_not_repeatable(defended, x) -> None:
    assert is_repeatable(subject_of(defended), x)
    own = subject_of(lambda images: defended(images), x)  # seeded by the operating system
    assert own.stochastic
    assert not is_repeatable(own, x)
