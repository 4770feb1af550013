"""What is averaged over the draws of a randomised target."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alp.attacks import LOSSES, OBJECTIVES, expected, input_gradient
from alp.attacks.gradients import score
from alp.errors import ConfigError, UnknownNameError
from alp.seeding import generator, normal

DRAWS = normal((5, 4, 3), generator(0, "logits")).double()
Y = torch.tensor([0, 1, 2, 0])
X = torch.full((4, 3, 2, 2), 0.5, dtype=torch.float64)


def target(x: Tensor) -> Tensor:
    """Draws of logits that move with the image."""
    return DRAWS * (1 + x.mean((1, 2, 3)))[:, None]


def test_each_objective_is_what_it_says() -> None:
    logits = target(X)
    probability = logits.softmax(-1).mean(0)
    of_label = probability.gather(1, Y[:, None]).squeeze(1)
    mean_loss = torch.stack([LOSSES["ce"](one, Y) for one in logits]).mean(0)
    wanted = {
        "loss": mean_loss,
        "probability": -of_label.log(),
        "logits": LOSSES["ce"](logits.mean(0), Y),
    }
    assert set(wanted) == set(OBJECTIVES)
    for name, values in wanted.items():
        torch.testing.assert_close(score(expected(target, name), X, Y, LOSSES["ce"]), values)
    assert (wanted["probability"] < wanted["loss"]).all(), "Jensen's inequality"


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_that_of_the_value(objective: str, loss: str) -> None:
    averaged = expected(target, objective)
    gradient, value = input_gradient(averaged, X, Y, LOSSES[loss])
    step = 1e-6
    moved = score(averaged, X + step, Y, LOSSES[loss])
    torch.testing.assert_close(gradient.sum((1, 2, 3)) * step, moved - value, atol=1e-9, rtol=1e-3)


def test_the_gradient_over_draws_is_the_mean_of_the_draws_gradients() -> None:
    whole, value = input_gradient(target, X, Y, LOSSES["margin"])
    each = [input_gradient(lambda x, n=n: target(x)[n], X, Y, LOSSES["margin"]) for n in range(5)]
    torch.testing.assert_close(whole, torch.stack([g for g, _ in each]).mean(0))
    torch.testing.assert_close(value, torch.stack([v for _, v in each]).mean(0))


def test_soft_labels_are_repeated_for_every_draw() -> None:
    soft = torch.nn.functional.one_hot(Y, 3).double()
    hard, _ = input_gradient(target, X, Y, LOSSES["ce"])
    torch.testing.assert_close(input_gradient(target, X, soft, LOSSES["ce"])[0], hard)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_single_answer_is_left_as_it_is(objective: str) -> None:
    averaged = expected(lambda x: x.flatten(1), objective)
    assert torch.equal(averaged(X), X.flatten(1))


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="probability"):
        expected(target, "median")


@pytest.mark.parametrize("shape", [(4,), (0, 4, 3), (5, 3, 3), (2, 5, 4, 3), (5, 4, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="n draws"):
        score(lambda x: torch.zeros(shape), X, Y, LOSSES["ce"])


def test_a_draw_that_is_not_finite_is_refused() -> None:
    bad = DRAWS.clone()
    bad[3, 1, 0] = float("nan")
    with pytest.raises(ConfigError, match="1 of 4 images"):
        score(lambda x: bad, X, Y, LOSSES["ce"])
