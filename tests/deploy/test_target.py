"""An engine before attackers and judges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alp.attacks import FGSM, Linf
from alp.data.images import Images
from alp.defences.adapters import as_defence
from alp.defences.base import Defence
from alp.deploy import Consensus, EngineTarget
from alp.evaluation import evaluate
from alp.evaluation.suites import Entry, Probes, Suite
from alp.seeding import Common, generator


@pytest.fixture
def x(images):
    return torch.from_numpy(images)


@pytest.fixture
def target(engine_of, defended) -> EngineTarget:
    return EngineTarget(engine_of("eager"), defended).eval()


def test_it_is_a_defence(target) -> None:
    assert isinstance(target, Defence)
    assert as_defence(target) is target
    assert target.capabilities == target.inner.capabilities


def test_the_prediction_is_the_engines(target, defended, x) -> None:
    logits = target(x, generator(0, "draw"))
    assert torch.equal(logits, target(x, generator(0, "draw")))
    assert not torch.equal(logits, target(x, generator(1, "draw")))
    many = torch.stack([target(x, generator(seed, "many")) for seed in range(40)])
    assert (many.mean(0) - defended(x, generator(0, "n"), draws=240)).abs().max() < 0.5
    assert target.draws == 6
    rule = Consensus(draws=12, first=2, group=1, error=0.9)
    early = EngineTarget(target.engine, defended, rule).eval()
    assert early.draws == 12
    seed = int(torch.randint(2**62, (), generator=generator(0, "draw")))
    outcome = target.engine.vote(x.numpy(), rule, seed)
    assert np.array_equal(early(x, generator(0, "draw")).numpy(), outcome.logits)


@pytest.mark.parametrize("view", ["logits", "masked", "bpda"])
def test_attackers_get_its_values_and_the_float_models_gradient(target, defended, x, view) -> None:
    theirs = getattr(defended, view)
    point, twin = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours = getattr(target, view)(point, generator(0, "draw"), 2)
    expected = theirs(twin, generator(0, "draw"), 2)
    assert torch.allclose(ours, expected, atol=1e-4)
    pair = [
        torch.autograd.grad(each.square().sum(), at, allow_unused=True)[0]
        if each.requires_grad
        else None
        for each, at in ((ours, point), (expected, twin))
    ]
    if view == "masked":
        assert pair == [None, None]
    else:
        assert torch.allclose(pair[0], pair[1], atol=1e-4)


def test_values_of_a_rounded_engine(engine_of, defended, x) -> None:
    target = EngineTarget(engine_of("eager", "bfloat16"), defended).eval()
    point = x.clone().requires_grad_()
    with_gradient = target.logits(point, generator(0, "draw"), 2)
    with torch.no_grad():
        without = target.logits(x, generator(0, "draw"), 2)
    exact = defended.logits(x, generator(0, "draw"), 2)
    assert torch.allclose(with_gradient, without, atol=1e-5)
    assert not torch.allclose(without, exact, atol=1e-4)


def test_known_draws_and_pictures(target, x) -> None:
    bank = target.logits(x[[0, 0]], Common(generator(0, "bank")), 3)
    assert torch.allclose(bank[:, 0], bank[:, 1], atol=1e-5)
    assert target.purify(x, generator(0, "p")).shape == x.shape
    assert torch.equal(target.bare(x), target.model.classifier(x))


def test_it_can_be_evaluated(target, images) -> None:
    data = Images.of(
        torch.from_numpy((255 * images).astype(np.uint8)), torch.zeros(5).long(), list("abcd"),
        "toy", "test",
    )  # fmt: skip
    suite = Suite(
        name="toy", opening=(Entry("single", FGSM()), Entry("oblivious", FGSM())), closing=(),
        evaluations=2, probes=Probes(images=0, steps=(1, 2), draws=2),
    )  # fmt: skip
    record = evaluate(target, data, Linf(8 / 255), suite, batch_size=5)
    assert record.header["draws"] == 6
    (words,) = record.header["warnings"]
    assert words.startswith("no check looked")  # the suite of this test has none
