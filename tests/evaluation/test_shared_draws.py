"""One draw that serves a whole batch: outcomes go together, and intervals say so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gallery_toys import CLASSES, PROBES, SMOOTH, X, Y, linear
from torch import Tensor

import alp
from alp.attacks import Linf, Square
from alp.data import Images
from alp.defences.adapters import as_defence, shares_draws
from alp.errors import ConfigError
from alp.evaluation import evaluate
from alp.evaluation.suites import Entry, Suite
from alp.records.statistics import clustered, wilson

pytestmark = pytest.mark.slow


def one_for_all(x: Tensor) -> Tensor:
    return linear(x) + 3 * torch.randn(1, CLASSES).to(x)


def one_for_each(x: Tensor) -> Tensor:
    return linear(x) + 3 * torch.randn(len(x), CLASSES).to(x)


def test_it_is_found_out() -> None:
    assert shares_draws(as_defence(one_for_all, X), X)
    assert not shares_draws(as_defence(one_for_each, X), X)
    assert not shares_draws(SMOOTH, X)
    assert not shares_draws(as_defence(linear, X), X)


def test_its_intervals_are_those_of_batches() -> None:
    pixels = (255 * X).round().to(torch.uint8)
    data = Images.of(pixels, Y, [str(k) for k in range(CLASSES)], "toy", "test")
    suite = Suite("toy", (Entry("score", Square(2)),), (), 1, PROBES)
    records = [
        evaluate(call, data, Linf(0.01), suite, batch_size=8)
        for call in (one_for_all, one_for_each)
    ]
    assert [each.header.get("shared_draws", False) for each in records] == [True, False]
    assert any("one draw of the target" in text for text in records[0].header["warnings"])
    shared, own = (alp.conclude(each)["clean"] for each in records)
    assert (own["low"], own["high"]) == wilson(40 * own["value"], 40)
    simple = wilson(40 * shared["value"], 40)
    assert shared["high"] - shared["low"] > simple.high - simple.low


def test_they_cover_what_independent_ones_miss() -> None:
    """A draw decides for whole batches of 16 whether they are right."""
    random = np.random.default_rng(0)
    batches = np.repeat(np.arange(16), 16)
    held = {"clustered": 0, "wilson": 0}
    for _ in range(400):
        level = random.beta(2, 2, 16)[batches]
        shares = (random.random(256) < level).astype(float)
        for name, found in (
            ("clustered", clustered(shares, batches)),
            ("wilson", wilson(shares.sum(), 256)),
        ):
            held[name] += found.low <= 0.5 <= found.high
    assert held["clustered"] / 400 > 0.92
    assert held["wilson"] / 400 < 0.75


def test_the_ends() -> None:
    batches = np.repeat(np.arange(4), 8)
    assert clustered(np.ones(32), batches).high == 1
    assert clustered(np.ones(32), batches).low < wilson(32, 32).low
    assert clustered(np.ones(32), np.zeros(32)) == (0, 1)
    with pytest.raises(ConfigError, match="give two columns"):
        clustered(np.ones(3), np.ones(2))
