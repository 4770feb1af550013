"""Surrogate gradients that are declared, and targets that show no gradient at all."""

from __future__ import annotations

import pytest
import torch
from gallery_toys import CLASSES, PROBES, Toy, X, Y, linear
from torch import Tensor, nn

import alp
from alp.attacks import PGD, Linf, Square
from alp.data import Images
from alp.defences.adapters import DeclaredSurrogate, FixedCallable
from alp.defences.base import straight_through
from alp.errors import ConfigError
from alp.evaluation import evaluate
from alp.evaluation.checks import CHECKS, Scene
from alp.evaluation.suites import SUITES, Entry, Suite, suite_for
from alp.evaluation.tasks import generate

THREAT = Linf(0.1)
SUITE = Suite("toy", (Entry("single", PGD(5)),), (), 1, PROBES)
WORDS = "the identity in place of rounding"


def rounded(x: Tensor) -> Tensor:
    return linear(straight_through((15 * x).round() / 15, x))


def led_astray(x: Tensor) -> Tensor:
    return linear(straight_through(x, x.flip(-1).roll(1, -2).flip(0)))


@pytest.fixture(scope="module")
def data() -> Images:
    pixels = (255 * X).round().to(torch.uint8)
    return Images.of(pixels, Y, [str(k) for k in range(CLASSES)], "toy", "test")


def findings(target, data: Images, **settings) -> dict[str, dict]:
    record = evaluate(target, data, THREAT, SUITE, **settings)
    return {each["check"]: each for each in record.header["checks"]}


def test_an_undeclared_surrogate_fails_and_is_told_how_to_be_declared(data) -> None:
    found = findings(rounded, data)
    assert "surrogate" not in found
    assert not found["finite-difference"]["passed"]
    assert "--surrogate WORDS" in found["finite-difference"]["words"]


def test_a_declared_one_is_checked_as_a_surrogate(data) -> None:
    found = findings(rounded, data, surrogate=WORDS)
    assert "finite-difference" not in found
    assert found["surrogate"]["passed"]
    assert found["surrogate"]["value"] == 1
    record = evaluate(rounded, data, THREAT, SUITE, surrogate=WORDS)
    assert record.header["surrogate"] == WORDS


@pytest.mark.parametrize("call", [led_astray, lambda x: linear(x.detach())])
def test_one_that_leads_nowhere_fails(call, data) -> None:
    found = findings(call, data, surrogate=WORDS)["surrogate"]
    assert not found["passed"]
    assert "of little use" in found["words"]


def test_jpeg_declares_its_own() -> None:
    class Head(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 8 * x.unflatten(-1, (2, -1)).unflatten(-3, (2, -1)).mean((-1, -3)).flatten(1)

    source = alp.seeding.generator(0, "jpeg")
    x = 0.3 + 0.4 * alp.seeding.uniform((24, 3, 16, 16), source)
    defence = alp.defences.transforms.JPEG(Head().eval())
    check, scene = CHECKS["surrogate"](), Scene(defence, Linf(8 / 255), PROBES, 1, 0, 0)
    assert check.applies(SUITE, defence)
    assert not CHECKS["finite-difference"]().applies(SUITE, defence)
    y = Head()(x).argmax(1)
    own = {key: each.numpy() for key, each in check.measure(scene, x, y).items()}
    assert check.conclude(own, {}, SUITE).passed


def test_words_that_are_none_are_refused(data) -> None:
    with pytest.raises(ConfigError, match="the surrogate is True"):
        evaluate(rounded, data, THREAT, SUITE, surrogate=True)


class Answers(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return linear(x)


def answers_only():
    defence = FixedCallable(Answers().eval())
    defence._differentiable = False
    return defence


def test_a_target_without_a_gradient_is_asked_alone_and_for_longer(data) -> None:
    defence = answers_only()
    suite = suite_for("quick", "linf", defence, ["other"], CLASSES)
    assert {entry.level for entry in suite.entries} == {"score", "transfer"}
    queries = [each.attack.queries for each in suite.entries if isinstance(each.attack, Square)]
    assert queries == [30, 300]
    whole = suite_for("quick", "linf", FixedCallable(Answers().eval()), (), CLASSES)
    assert len(whole.entries) > len(suite.entries)


def test_its_record_says_so(data, monkeypatch) -> None:
    def tiny(norm: str) -> Suite:
        return Suite("quick", (Entry("score", Square(5)),), (), 1, PROBES)

    monkeypatch.setitem(SUITES, "quick", tiny)
    record = evaluate(answers_only(), data, THREAT, "quick")
    assert record.header["checks"] == []
    assert any("answers only" in text for text in record.header["warnings"])
    assert alp.conclude(record)["worst"]["value"] <= 1


def test_an_attack_that_needs_a_gradient_is_refused(data) -> None:
    with pytest.raises(ConfigError, match="gives answers only, and PGD"):
        generate(answers_only(), "single", X, Y, THREAT, PGD(2), seed=0, batch=0)
    wrapped = DeclaredSurrogate(Toy(lambda x, noise: linear(x)), WORDS)
    assert wrapped.surrogate == WORDS
    assert wrapped.differentiable
