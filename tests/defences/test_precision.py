"""Attackers in bfloat16 against a defence in float32."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cosine_similarity

from alp.attacks import LOSSES, PGD, Linf, input_gradient
from alp.data.images import Images
from alp.defences import defend
from alp.defences.adapters import HalfPrecision
from alp.errors import UnknownNameError
from alp.evaluation import About, Entry, Probes, Suite, evaluate
from alp.records import conclude
from alp.seeding import generator

pytestmark = pytest.mark.slow

PROBES = Probes(images=8, steps=(2, 4), draws=2)
SUITE = Suite("tiny", (Entry("eot", PGD(2), 2),), (), evaluations=1, probes=PROBES)


@pytest.fixture
def defended(new_classifier, new_purifier):
    return defend(new_classifier(), new_purifier(), draws=3).eval()


@pytest.fixture
def x(new_images):
    return new_images(6, 16, 16)


@pytest.fixture
def data(new_images):
    pixels = (255 * new_images(8, 16, 16)).to(torch.uint8)
    return Images.of(pixels, torch.arange(8) % 4, "abcd", "toy", "test")


def views(defended, x):
    def source():
        return generator(0, "views")

    return {
        "logits": defended.logits(x, source(), 2),
        "masked": defended.masked(x, source(), 2),
        "bpda": defended.bpda(x, source(), 2),
        "bare": defended.bare(x),
    }


def test_only_the_attackers_views_are_rounded(defended, x) -> None:
    rounded = HalfPrecision(defended)
    exact, near = views(defended, x), views(rounded, x)
    for name, logits in exact.items():
        assert near[name].dtype == torch.float32
        assert not torch.equal(near[name], logits), name
        assert (near[name] - logits).abs().max() < 0.05 * logits.abs().max(), name
    for answer in ("forward", "purify"):
        mine, its = (getattr(each, answer)(x, generator(0, answer)) for each in (defended, rounded))
        assert torch.equal(mine, its), answer
    assert (rounded.stochastic, rounded.draws) == (True, 3)
    assert rounded.capabilities == defended.capabilities


def test_the_gradient_keeps_its_direction(defended, x) -> None:
    y = torch.arange(6) % 4

    def gradient(attacked):
        target = lambda images: attacked.logits(images, generator(0, "g"), 4)  # noqa: E731
        return input_gradient(target, x, y, LOSSES["ce"])[0].flatten(1)

    assert cosine_similarity(gradient(defended), gradient(HalfPrecision(defended))).min() > 0.99


def test_in_float64_nothing_is_rounded(defended, x) -> None:
    logits = HalfPrecision(defended).in_float64().logits(x.double(), generator(0, "a"), 2)
    wanted = defended.in_float64().logits(x.double(), generator(0, "a"), 2)
    assert logits.dtype == torch.float64
    assert torch.equal(logits, wanted)


def test_a_record_says_what_its_attackers_computed_in(defended, data) -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        record = evaluate(
            defended, data, Linf(0.01), SUITE, attack_precision=precision, about=About("toy")
        )
        assert record.header["attack_precision"] == precision
        found[precision] = conclude(record)
    assert found["bfloat16"]["attack_precision"] == "bfloat16"
    assert found["bfloat16"]["clean"] == found["float32"]["clean"]


def test_an_unknown_precision_is_refused_with_the_valid_ones(defended, data) -> None:
    with pytest.raises(UnknownNameError, match=r"attack precision 'int4'.*bfloat16, float32"):
        evaluate(defended, data, Linf(0.01), SUITE, attack_precision="int4")
