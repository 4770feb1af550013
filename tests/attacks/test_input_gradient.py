from __future__ import annotations

import pytest
import torch
from torch import Tensor

from alp.attacks import LOSSES, input_gradient
from alp.attacks.losses import cross_entropy, margin
from alp.errors import ConfigError
from alp.seeding import generator, normal

X = torch.full((3, 3, 2, 2), 0.5)
Y = torch.tensor([0, 3, 1])


def target(x: Tensor) -> Tensor:
    weight = normal((4, 12), generator(0, "weight")).to(x)
    return (x.flatten(1) @ weight.T).tanh() * 3


@pytest.mark.parametrize("name", LOSSES)
def test_it_agrees_with_finite_differences(name: str) -> None:
    x = X.double() + 0.1 * normal(X.shape, generator(1, "x")).double()
    gradient, value = input_gradient(target, x, Y, LOSSES[name])
    assert torch.allclose(value, LOSSES[name](target(x), Y))
    width = 1e-6
    for index in range(12):
        moved = torch.zeros_like(x).flatten(1)
        moved[:, index] = width
        moved = moved.view_as(x)
        rise = LOSSES[name](target(x + moved), Y) - LOSSES[name](target(x - moved), Y)
        assert torch.allclose(gradient.flatten(1)[:, index], rise / (2 * width), atol=1e-7)


def test_examples_do_not_share_a_gradient() -> None:
    whole, _ = input_gradient(target, X, Y, cross_entropy)
    alone, _ = input_gradient(target, X[1:2], Y[1:2], cross_entropy)
    assert torch.allclose(whole[1:2], alone)


def test_an_entry_that_is_not_a_number_is_zero() -> None:
    def cornered(x: Tensor) -> Tensor:
        return target(x) + (x[:, 0, 0, :1] - 0.5).sqrt()[:, :1] * torch.tensor([0.0, 1, 0, 1])

    gradient, _ = input_gradient(cornered, X.clone().requires_grad_(), Y, cross_entropy)
    assert gradient.isfinite().all()
    plain, _ = input_gradient(target, X, Y, cross_entropy)
    assert torch.allclose(gradient.flatten(1)[:, 1:], plain.flatten(1)[:, 1:])


def test_the_losses_are_their_formulas() -> None:
    logits = torch.tensor([[2.0, 1.0, -1.0], [0.0, 3.0, 2.5]])
    y = torch.tensor([0, 2])
    assert torch.allclose(margin(logits, y), torch.tensor([-1.0, 0.5]))
    assert torch.allclose(
        cross_entropy(logits, y), logits.logsumexp(1) - logits[torch.arange(2), y]
    )
    soft = torch.tensor([[0.2, 0.7, 0.1], [0.5, 0.5, 0.0]])
    assert torch.allclose(cross_entropy(logits, soft), -(soft * logits.log_softmax(1)).sum(1))
    assert torch.allclose(margin(logits, soft), margin(logits, soft.argmax(1)))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda x: target(x) * torch.nan, "not finite for 3 of 3"),
        (lambda x: target(x) + torch.tensor([0.0, torch.inf, 0, 0]), "not finite"),
        (lambda x: target(x)[:, :1], r"\(3, 1\)"),
        (lambda x: target(x)[:2], r"\(2, 4\)"),
        (lambda x: target(x).sum(1), r"\(3,\)"),
        (lambda x: target(x)[:, :3], "class 3, the target has 3 classes"),
    ],
)
def test_logits_that_cannot_be_used_are_named(broken, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=words):
        input_gradient(broken, X, Y, cross_entropy)


def test_soft_labels_of_another_model_are_named() -> None:
    with pytest.raises(ConfigError, match="6 classes, the target has 4"):
        input_gradient(target, X, torch.full((3, 6), 1 / 6), cross_entropy)
