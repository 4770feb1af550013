"""How an attacker's draws reach the model: one pass of the encoder, and every draw decoded."""

from __future__ import annotations

import pytest
import torch
from test_counted_calls import ASKED, CLASSES, COUNT, SIDE, X, Y, linear
from torch import Tensor, nn

from alp import seeding
from alp.attacks import PGD, Linf
from alp.defences.adapters import RandomCallable
from alp.defences.purified import Defended
from alp.evaluation.knowledge import KNOWLEDGE
from alp.evaluation.tasks import generate


class Classifier(nn.Module):
    """A quadratic classifier that notes how many images it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        return linear(x**2)


@pytest.fixture
def defended(new_purifier) -> Defended:
    """A purifier before that classifier; both note what they are asked for."""
    model = Defended(Classifier(), new_purifier(sigma=0.5), draws=7).eval()
    encode, draw = model.purifier.encode, model.purifier.draw
    model.encoded, model.drawn = [], []

    def encoding(x: Tensor) -> Tensor:
        model.encoded.append(len(x))
        return encode(x)

    def drawing(*args, draws: int = 1, **options) -> Tensor:
        model.drawn.append(draws)
        return draw(*args, draws=draws, **options)

    model.purifier.encode, model.purifier.draw = encoding, drawing
    return model


@pytest.mark.parametrize(
    "level", [each for each in KNOWLEDGE if each not in ("oblivious", "detectors")]
)
def test_one_pass_of_the_encoder_serves_all_draws_of_a_step(level: str, defended) -> None:
    _, draws = ASKED[level]
    generate(defended, level, X, Y, Linf(0.05), PGD(steps=4), seed=0, batch=0, draws=6)
    assert defended.encoded == 4 * [COUNT]
    assert defended.drawn == 4 * [draws]
    assert defended.classifier.seen == 4 * [draws * COUNT]


def test_the_oblivious_attacker_meets_no_purifier(defended) -> None:
    generate(defended, "oblivious", X, Y, Linf(0.05), PGD(steps=4), seed=0, batch=0, draws=6)
    assert defended.encoded == defended.drawn == []
    assert defended.classifier.seen == 4 * [COUNT]


def test_the_deployed_prediction_averages_its_own_draws(defended) -> None:
    with torch.no_grad():
        defended(X, seeding.generator(0, "draws"))
    assert sum(defended.drawn) == 7
    assert sum(defended.classifier.seen) == 7 * COUNT


def test_the_answers_of_a_step_are_draws_of_their_own(defended) -> None:
    for asked in (defended.logits, defended.bpda, defended.masked):
        answers = asked(X, seeding.generator(0, "draws"), 6)
        assert answers.shape == (6, COUNT, CLASSES)
        assert len({tuple(each) for each in answers[:, 0].tolist()}) == 6


def test_many_draws_come_in_groups_and_all_of_them_come(defended) -> None:
    many = X.repeat(30, 1, 1, 1)
    answers = defended.logits(many, seeding.generator(0, "draws"), 7)
    assert answers.shape == (7, 90, CLASSES)
    assert defended.drawn == [2, 2, 2, 1], "256 rows at a time"


def test_bpda_takes_the_mean_gradient_at_its_purified_points(defended) -> None:
    """Of the classifier at each draw, as if the purifier were the identity."""
    x = X.clone().requires_grad_()
    logits = defended.bpda(x, seeding.generator(0, "draws"), 6)
    (found,) = torch.autograd.grad(logits.mean(0).sum(), x)
    with torch.no_grad():
        latent = defended.purifier.encode(X)
        source = seeding.generator(0, "draws")
        points = defended.purifier.draw(latent, source, (SIDE, SIDE), draws=6)
    points.requires_grad_()
    (each,) = torch.autograd.grad(linear(points**2).sum(), points)
    assert torch.allclose(found, each.view(6, *X.shape).mean(0), atol=1e-5)


def test_a_plain_callable_is_asked_once_a_draw() -> None:
    asked = []

    def model(x: Tensor) -> Tensor:
        asked.append(len(x))
        return linear(x + 0.1 * torch.randn_like(x))

    defence = RandomCallable(model, draws=3)
    assert defence.logits(X, seeding.generator(0, "draws"), 5).shape == (5, COUNT, CLASSES)
    assert asked == 5 * [COUNT]
    asked.clear()
    defence(X, seeding.generator(0, "draws"))
    assert asked == 3 * [COUNT]
