"""What users and attackers see of a target, which may be any callable."""

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
    FixedCallable,
    HalfPrecision,
    RandomCallable,
    as_defence,
    is_random,
    is_repeatable,
)
from alp.defences.base import Defence
from alp.errors import ConfigError
from alp.seeding import Common, generator

VIEWS = ("forward", "logits", "masked", "bpda", "bare", "purify")


@pytest.fixture
def x(new_images):
    return new_images(3, 16, 16)


@pytest.fixture
def defended(new_classifier, new_purifier):
    return defend(new_classifier(), new_purifier(), draws=3).eval()


class Halves(Defence):
    """Only the two halves: a constant latent, and noise on the logits."""

    draws = 6

    def encode(self, x):
        return x.mean((2, 3))

    def sample(self, state, source, draws):
        noise = (seeding.normal(state.shape, source) for _ in range(draws))
        return torch.stack([state + each for each in noise])


class Noisy(nn.Module):
    """A stochastic model as others write them: it draws from torch's global generator."""

    def forward(self, x):
        return (x + torch.randn_like(x)).flatten(1)[:, :4]


@pytest.mark.parametrize("kind", [FixedCallable, RandomCallable, HalfPrecision])
def test_adapters_have_the_views_of_every_defence(kind) -> None:
    for view in VIEWS:
        own = inspect.signature(getattr(kind, view)).parameters
        assert list(own) == list(inspect.signature(getattr(Defence, view)).parameters)


def test_the_defence_of_a_target(new_classifier, defended, x) -> None:
    classifier = new_classifier().eval()
    assert isinstance(as_defence(lambda x: classifier(x), x), FixedCallable)
    assert isinstance(as_defence(Noisy().eval(), x), RandomCallable)
    for target in (classifier, defended, Halves().eval()):
        assert as_defence(target) is target
    defence = as_defence(Noisy().eval(), x)
    assert as_defence(defence, x) is defence


def test_draws_of_the_deployed_prediction(defended, x) -> None:
    assert as_defence(defended).draws == 3
    assert as_defence(Halves().eval()).draws == 6
    assert as_defence(Noisy().eval(), x).draws == 1
    assert as_defence(Noisy().eval(), x, draws=9).draws == 9
    two = as_defence(defended, x, draws=2)
    assert two.draws == 2
    assert torch.equal(two(x, generator(0, "d")), defended(x, generator(0, "d"), draws=2))
    with pytest.raises(ConfigError, match="answers the same every time"):
        as_defence(lambda x: x.flatten(1), x, draws=9)
    with pytest.raises(ConfigError, match="draws is 0"):
        as_defence(Halves().eval(), x, draws=0)


@pytest.mark.parametrize(
    ("target", "message"),
    [(nn.Linear(2, 2), "training mode"), (3, "give a callable")],
)
def test_targets_that_cannot_be_used(target, message) -> None:
    with pytest.raises(ConfigError, match=message):
        as_defence(target)


@pytest.mark.parametrize("wrap", [lambda model: model, lambda model: lambda x: model(x)])
def test_every_view_of_a_bare_classifier_is_the_classifier(new_classifier, x, wrap) -> None:
    classifier, source = new_classifier().eval(), generator(0, "draw")
    defence, logits = as_defence(wrap(classifier), x), classifier(x)
    assert torch.equal(defence.bare(x), logits)
    assert torch.equal(defence(x, source), logits)
    for view in (defence.logits, defence.masked, defence.bpda):
        assert torch.equal(view(x, source, 5), logits[None])
    assert defence.purify(x, source) is x


def test_the_views_of_a_defended_classifier(defended, x) -> None:
    def source():
        return generator(0, "draw")

    one = defended.classifier(defended.purifier(x, source()))
    for view in (defended.logits, defended.masked, defended.bpda):
        assert torch.allclose(view(x, source(), 1)[0], one, atol=1e-5)
    assert torch.allclose(defended.logits(x, source(), 3).mean(0), defended(x, source()), atol=1e-5)
    assert torch.equal(defended.bare(x), defended.classifier(x))
    assert torch.equal(defended.purify(x, source()), defended.purifier(x, source()))


@pytest.mark.parametrize(
    ("view", "flows"), [("forward", True), ("logits", True), ("masked", False), ("bpda", True)]
)
def test_where_the_gradient_flows(defended, x, view: str, flows: bool) -> None:
    point = x.clone().requires_grad_()
    rest = (generator(0, "draw"), *([2] if view != "forward" else []))
    logits = getattr(defended, view)(point, *rest)
    (gradient,) = torch.autograd.grad(logits.square().sum(), point, allow_unused=True)
    assert (gradient is not None) is flows


def test_bpda_is_the_gradient_of_the_classifier_at_the_purified_image(defended, x) -> None:
    point = x.clone().requires_grad_()
    logits = defended.bpda(point, generator(0, "draw"), 1)
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
    logits = masked.logits(point, generator(0, "draw"), 1)
    assert torch.autograd.grad(logits.sum(), point)[0].abs().sum() > 0


def test_bpda_around_the_masking_layer_alone_is_the_exact_gradient(defended, x) -> None:
    """What `masked` hides is one layer whose forward pass is the identity plus noise: with the
    identity's derivative in its place the attacker has what `eot` has."""
    point = x.clone().requires_grad_()
    mu = defended.purifier.encode(point)
    masked = defended.purifier.noise(mu, generator(0, "draw")).detach()
    straight = mu + (masked - mu).detach()
    image = defended.purifier.decode(straight, (x.shape[-2], x.shape[-1])).clamp(0, 1)
    (bpda,) = torch.autograd.grad(defended.classifier(image).square().sum(), point)
    logits = defended.logits(point, generator(0, "draw"), 1)
    (exact,) = torch.autograd.grad(logits.square().sum(), point)
    assert torch.allclose(bpda, exact, atol=1e-6)
    assert exact.abs().sum() > 0


@pytest.mark.parametrize("make", [lambda d: d, lambda d: Halves().eval(), lambda d: Noisy().eval()])
def test_a_bank_of_draws_is_the_same_for_every_subset(make, defended, x) -> None:
    defence = as_defence(make(defended), x)

    def bank(images):
        return defence.logits(images, Common(generator(0, "bank")), 3)

    whole = bank(x)
    assert torch.equal(whole, bank(x))
    for rows in ([2], [2, 0], [1, 1, 2]):
        assert torch.allclose(bank(x[rows]), whole[:, rows], atol=1e-5)
    same = bank(x[[0, 0]])
    assert torch.allclose(same[:, 0], same[:, 1], atol=1e-5)
    assert not torch.allclose(whole[0], whole[1], atol=1e-3)


def test_a_random_callable_follows_the_generator_and_leaves_the_global_ones_alone(x) -> None:
    defence = as_defence(Noisy().eval(), x)
    before = torch.get_rng_state()
    numbers = str(np.random.get_state(legacy=False))  # noqa: NPY002
    first = defence.logits(x, generator(0, "draw"), 4)
    assert torch.equal(first, defence.logits(x, generator(0, "draw"), 4))
    assert not torch.equal(first, defence.logits(x, generator(1, "draw"), 4))
    assert not torch.equal(first[0], first[1])
    assert torch.equal(before, torch.get_rng_state())
    assert numbers == str(np.random.get_state(legacy=False))  # noqa: NPY002
    for view, rest in (("bare", ()), ("masked", (generator(0, "d"), 1)), ("bpda", (None, 1))):
        with pytest.raises(ConfigError, match=view):
            getattr(defence, view)(x, *rest)


def test_a_target_that_is_rarely_random_is_found(x) -> None:
    def rarely(images):
        draw = torch.rand(())
        return images.flatten(1)[:, :3] * (draw > 1e-9)

    calls = iter(range(100))
    assert is_random(rarely, x)
    assert is_random(lambda images: images.flatten(1) + next(calls), x)
    assert not is_random(lambda images: images.flatten(1), x)


def test_a_target_with_a_source_of_its_own_is_not_repeatable(defended, x) -> None:
    assert is_repeatable(defended, x)
    own = as_defence(lambda images: defended(images), x)  # seeded by the operating system
    assert own.stochastic
    assert not is_repeatable(own, x)
