"""What users and attackers see of a model."""

from __future__ import annotations

import inspect

import pytest
import torch

from alp.evaluation import Subject
from alp.models import defend
from alp.models.subjects import Purified, Undefended, subject_of
from alp.seeding import generator


@pytest.fixture
def x(new_images):
    return new_images(3, 16, 16)


@pytest.fixture
def defended(new_classifier, new_purifier):
    return defend(new_classifier(), new_purifier(), draws=3)


def test_subjects_have_every_view_of_the_protocol() -> None:
    views = {n: v for n, v in vars(Subject).items() if n[0] != "_" and inspect.isfunction(v)}
    assert set(views) >= {"predict", "draw", "masked", "bare", "purify"}
    for kind in (Undefended, Purified):
        assert isinstance(kind.stochastic, bool)
        for name, view in views.items():
            own = inspect.signature(getattr(kind, name)).parameters
            assert list(own) == list(inspect.signature(view).parameters)


def test_the_subject_of_a_model(new_classifier, defended) -> None:
    assert isinstance(subject_of(new_classifier()), Undefended)
    assert isinstance(subject_of(defended), Purified)
    assert not subject_of(new_classifier()).stochastic
    assert subject_of(defended).stochastic


def test_every_view_of_a_bare_classifier_is_the_classifier(new_classifier, x) -> None:
    classifier, source = new_classifier(), generator(0, "draw")
    subject, logits = subject_of(classifier), classifier(x)
    assert torch.equal(subject.bare(x), logits)
    for view in (subject.predict, subject.draw, subject.masked):
        assert torch.equal(view(x, source), logits)
    assert subject.purify(x, source) is x


def test_the_views_of_a_defended_classifier(defended, x) -> None:
    subject = subject_of(defended)

    def source():
        return generator(0, "draw")

    assert torch.equal(subject.predict(x, source()), defended(x, source()))
    one = defended.classifier(defended.purifier(x, source()))
    assert torch.allclose(subject.draw(x, source()), one, atol=1e-5)
    assert torch.equal(subject.masked(x, source()), subject.draw(x, source()))
    assert torch.equal(subject.bare(x), defended.classifier(x))
    assert torch.equal(subject.purify(x, source()), defended.purifier(x, source()))


@pytest.mark.parametrize(
    ("view", "flows"), [("predict", True), ("draw", True), ("masked", False), ("bare", True)]
)
def test_where_the_gradient_flows(defended, x, view: str, flows: bool) -> None:
    subject, point = subject_of(defended), x.clone().requires_grad_()
    arguments = (point,) if view == "bare" else (point, generator(0, "draw"))
    logits = getattr(subject, view)(*arguments)
    (gradient,) = torch.autograd.grad(logits.square().sum(), point, allow_unused=True)
    assert (gradient is not None) is flows
