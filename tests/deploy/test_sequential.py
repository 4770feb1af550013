"""A defended model that is deployed with the sequential consensus."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alp.defences.adapters import as_defence
from alp.deploy import Consensus, SequentialDefended
from alp.deploy.deployment import vote
from alp.errors import ConfigError
from alp.seeding import Common, Rows, generator, normal

NEVER = Consensus(draws=6, error=1e-3)
SOON = Consensus(draws=12, first=2, group=1, error=0.9)


@pytest.fixture
def x(images):
    return torch.from_numpy(images)


def deployed(defended, rule: Consensus) -> SequentialDefended:
    return SequentialDefended(defended.classifier, defended.purifier, rule).eval()


def test_undecided_it_is_the_defended_model(defended, x) -> None:
    model = deployed(defended, NEVER)
    close = x.new_zeros(len(x), 4)
    outcome = model.outcome(x, generator(0, "draw"))
    some = torch.from_numpy(outcome.draws == 6)
    close[some] = defended(x, generator(0, "draw"))[some]
    assert some.any()
    assert torch.allclose(outcome.logits[some], close[some], atol=1e-5)


@pytest.mark.parametrize("common", [False, True])
def test_each_image_has_the_mean_of_its_own_first_draws(defended, x, common: bool) -> None:
    def source():
        return Common(generator(0, "draw")) if common else generator(0, "draw")

    outcome = deployed(defended, SOON).outcome(x, source())
    each = defended.sample(defended.encode(x), source(), 12)
    assert len(set(outcome.draws)) > 1
    for row, draws in enumerate(outcome.draws):
        mean = each[:draws, row].mean(0)
        assert torch.allclose(outcome.logits[row], mean, atol=1e-5)


def test_rows_of_a_source_meet_what_the_whole_batch_does() -> None:
    whole = normal((6, 3), generator(0, "rows"))
    rows = torch.tensor([4, 1])
    assert torch.equal(normal((2, 3), Rows(generator(0, "rows"), rows, 6)), whole[rows])


def test_users_get_the_stopping_rule_and_attackers_the_draws(defended, x) -> None:
    model = deployed(defended, SOON)
    assert as_defence(model) is model
    assert model.draws == 12
    predicted = model(x, generator(0, "draw"))
    assert torch.equal(predicted, model.outcome(x, generator(0, "draw")).logits)
    assert not torch.allclose(predicted, defended(x, generator(0, "draw"), draws=12), atol=1e-4)
    assert model.logits(x, generator(0, "draw"), 30).shape == (30, 5, 4)


def test_the_gradient_is_that_of_the_draws_made(defended, x) -> None:
    point = x.clone().requires_grad_()
    model = deployed(defended, SOON)
    (gradient,) = torch.autograd.grad(model(point, generator(0, "d")).square().sum(), point)
    draws = model.outcome(x, generator(0, "d")).draws
    each = defended.sample(defended.encode(point), generator(0, "d"), 12, stop_gradient=False)
    by_hand = sum(each[:n, row].mean(0).square().sum() for row, n in enumerate(draws))
    (expected,) = torch.autograd.grad(by_hand, point)
    assert torch.allclose(gradient, expected, atol=1e-6)
    cut = model.masked(point, generator(0, "d"), 12).sum()
    assert torch.autograd.grad(cut, point, allow_unused=True) == (None,)


def test_decided_images_leave_the_batch(defended, x, monkeypatch) -> None:
    model, seen = deployed(defended, SOON), []
    inner = model.inner.sample

    def counting(state, source, draws):
        seen.append(len(state.mu) * draws)
        return inner(state, source, draws)

    monkeypatch.setattr(model.inner, "sample", counting)
    outcome = model.outcome(x)
    assert sum(seen) == outcome.draws.sum() < 12 * len(x)


def test_without_a_source_no_two_calls_agree(defended, x) -> None:
    model = deployed(defended, NEVER)
    assert not torch.equal(model(x), model(x))


def test_another_budget_of_a_call(defended, x) -> None:
    model = deployed(defended, NEVER)
    assert model.outcome(x, draws=3).draws.tolist() == [3] * 5
    assert np.array_equal(vote(defended, x, Consensus(draws=3)).draws, [3] * 5)
    with pytest.raises(ConfigError, match="draws is 0"):
        model(x, draws=0)
