"""Attackers in bfloat16 against a defence in float32."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cosine_similarity

from alp.attacks import LOSSES, PGD, Linf, input_gradient
from alp.data.images import Images
from alp.defences import defend
from alp.defences.adapters import Purified, Rounded, in_float64
from alp.errors import UnknownNameError
from alp.evaluation import About, Entry, Probes, Suite, evaluate
from alp.records import conclude
from alp.seeding import generator

SUITE = Suite("tiny", (Entry("eot", PGD(2), 2),), (), evaluations=1, probes=Probes(images=8))


@pytest.fixture
def subject(new_classifier, new_purifier):
    return Purified(defend(new_classifier(), new_purifier(), draws=3).eval())


@pytest.fixture
def x(new_images):
    return new_images(6, 16, 16)


@pytest.fixture
def data(new_images):
    pixels = (255 * new_images(8, 16, 16)).to(torch.uint8)
    return Images.of(pixels, torch.arange(8) % 4, "abcd", "toy", "test")


def views(subject, x):
    def source():
        return generator(0, "views")

    return {
        "sample": subject.sample(x, source(), 2),
        "masked": subject.masked(x, source(), 2),
        "bpda": subject.bpda(x, source(), 2),
        "bare": subject.bare(x),
    }


def test_only_the_attackers_views_are_rounded(subject, x) -> None:
    rounded = Rounded(subject)
    exact, near = views(subject, x), views(rounded, x)
    for name, logits in exact.items():
        assert near[name].dtype == torch.float32
        assert not torch.equal(near[name], logits), name
        assert (near[name] - logits).abs().max() < 0.05 * logits.abs().max(), name
    for answer in ("predict", "purify"):
        mine, its = (getattr(each, answer)(x, generator(0, answer)) for each in (subject, rounded))
        assert torch.equal(mine, its), answer
    assert (rounded.stochastic, rounded.draws, rounded.views) == (True, 3, subject.views)


def test_the_gradient_keeps_its_direction(subject, x) -> None:
    y = torch.arange(6) % 4

    def gradient(attacked):
        target = lambda images: attacked.sample(images, generator(0, "g"), 4)  # noqa: E731
        return input_gradient(target, x, y, LOSSES["ce"])[0].flatten(1)

    assert cosine_similarity(gradient(subject), gradient(Rounded(subject))).min() > 0.99


def test_in_float64_nothing_is_rounded(subject, x) -> None:
    logits = in_float64(Rounded(subject)).sample(x.double(), generator(0, "a"), 2)
    wanted = in_float64(subject).sample(x.double(), generator(0, "a"), 2)
    assert logits.dtype == torch.float64
    assert torch.equal(logits, wanted)


def test_a_record_says_what_its_attackers_computed_in(subject, data) -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        record = evaluate(
            subject, data, Linf(0.01), SUITE, attack_precision=precision, about=About("toy")
        )
        assert record.header["attack_precision"] == precision
        found[precision] = conclude(record)
    assert found["bfloat16"]["attack_precision"] == "bfloat16"
    assert found["bfloat16"]["clean"] == found["float32"]["clean"]


def test_an_unknown_precision_is_refused_with_the_valid_ones(subject, data) -> None:
    with pytest.raises(UnknownNameError, match=r"attack precision 'int4'.*bfloat16, float32"):
        evaluate(subject, data, Linf(0.01), SUITE, attack_precision="int4")
