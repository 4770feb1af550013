"""A light classifier where it is sure, and a full one elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from alp.defences.assemble import assemble
from alp.defences.cascade import CHUNK, Cascade
from alp.defences.smoothed import Smoothed
from alp.errors import ConfigError
from alp.seeding import generator, uniform


class Light(nn.Module):
    """As sure of class 0 as the first pixel says."""

    def forward(self, x: Tensor) -> Tensor:
        sure = x[:, 0, 0, 0].clamp(0.01, 0.99)
        return torch.stack([sure.log(), (1 - sure).log()], 1)


class Full(nn.Module):
    """Class 1, and what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach().clone())
        return torch.stack([x[:, 1, 0, 0] - 9, x[:, 1, 0, 0] + 9], 1)


def images(*firsts: float) -> Tensor:
    x = uniform((len(firsts), 3, 4, 4), generator(0, "cascade"))
    x[:, 0, 0, 0] = torch.tensor(firsts)
    return x


def made(confidence: float = 0.75) -> tuple[Cascade, Full]:
    full = Full().eval()
    return Cascade(full, Light().eval(), confidence), full


def test_the_light_one_answers_from_the_confidence_on() -> None:
    model, full = made(0.75)
    x = images(0.74, 0.75, 0.9, 0.26, 0.25)
    logits = model.answer(x)
    assert logits.argmax(1).tolist() == [1, 0, 0, 1, 1]
    torch.testing.assert_close(logits[[1, 2, 4]], Light()(x[[1, 2, 4]]))
    torch.testing.assert_close(logits[[0, 3]], Full()(x[[0, 3]]))
    assert len(full.asked) == 1


@pytest.mark.parametrize(("unsure", "calls"), [(0, 0), (1, 1), (CHUNK, 1), (CHUNK + 1, 2)])
def test_the_full_one_always_sees_as_many_images(unsure: int, calls: int) -> None:
    model, full = made()
    x = images(*[0.5] * unsure, *[1.0] * (128 - unsure))
    model.answer(x)
    assert [len(each) for each in full.asked] == [CHUNK] * calls
    assert all(bool((each[:, 0, 0, 0] == 0.5).all()) for each in full.asked)
    model.answer(x[:3])
    assert [len(each) for each in full.asked[calls:]] == [3] * bool(unsure)


def test_the_gradient_is_that_of_the_one_that_answers() -> None:
    model, _ = made()
    x = images(0.5, 0.9).requires_grad_()
    model.answer(x)[:, 0].sum().backward()
    assert x.grad[0, 1, 0, 0] == 1
    assert x.grad[0, 0, 0, 0] == 0
    assert x.grad[1, 0, 0, 0] > 0


def test_its_votes_are_certified() -> None:
    model, full = made()
    found = Smoothed(model, 0.25).certify(images(1.0), radii=(0.0,), budget=2_000, seed=0)
    assert found.prediction.tolist() == [0]
    assert full.asked


def test_of_smoothed_classifiers_it_takes_the_bases(new_classifier) -> None:
    full, light = new_classifier(), new_classifier()
    made = assemble("cascade", Smoothed(full, 0.25), light=Smoothed(light, 0.25))
    assert (made.classifier, made.light) == (full, light)


def test_what_cannot_be_a_cascade_is_refused(new_classifier) -> None:
    with pytest.raises(ConfigError, match=r"confidence is 1.5"):
        made(1.5)
    other = new_classifier(classes=3)
    with pytest.raises(ConfigError, match="2 classes apart, and the full one 3"):
        Cascade(other, Light().eval())(images(0.5), generator(0, "x"))
    with pytest.raises(ConfigError, match=r"'cascade' needs a light classifier.*--light"):
        assemble("cascade", other)
    with pytest.raises(ConfigError, match="'jpeg' is made without a light classifier"):
        assemble("jpeg", other, light=other)
    with pytest.raises(ConfigError, match="type Light cannot be saved"):
        Cascade(other, Light().eval()).describe()
