"""Gradients that keep less compute the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import alp
from alp.attacks import LOSSES, PGD, Linf, input_gradient
from alp.data import Images
from alp.defences import memory as sizes
from alp.defences.adapters import HalfPrecision
from alp.defences.memory import available_bytes, graph_bytes, keep_at_most
from alp.errors import ConfigError
from alp.evaluation import Entry, Probes, Suite, evaluate, probe
from alp.seeding import Common, Rows, generator

DRAWS = 6


@pytest.fixture
def defended(new_classifier, new_purifier):
    return alp.defend(new_classifier(), new_purifier(), DRAWS)


def slope(defence, x: Tensor, source) -> Tensor:
    y = torch.zeros(len(x), dtype=torch.long)
    return input_gradient(lambda point: defence.logits(point, source, DRAWS), x, y, LOSSES["ce"])[0]


@pytest.mark.parametrize("wrap", [lambda each: each, HalfPrecision])
@pytest.mark.parametrize(
    "source",
    [
        lambda made: made,
        Common,
        lambda made: Rows(made, torch.tensor([0, 2, 3]), 5),
    ],
)
def test_the_gradient_is_the_same_on_the_same_draws(defended, new_images, source, wrap) -> None:
    x, defence = new_images(3, 16, 16), wrap(defended)
    made = generator(0, "memory")
    whole = slope(defence, x, source(made))
    after = made.get_state()
    keep_at_most(defence, 3)
    again = generator(0, "memory")
    assert torch.allclose(slope(defence, x, source(again)), whole, rtol=1e-4, atol=1e-7)
    assert torch.equal(again.get_state(), after), "the draws that come next are the same too"
    keep_at_most(defence, None)


def test_a_graph_keeps_less(defended, new_images) -> None:
    x = new_images(2, 16, 16)
    one, all_of_them = (graph_bytes(defended, x, draws) for draws in (1, DRAWS))
    assert all_of_them > 3 * one
    keep_at_most(defended, 2)
    assert graph_bytes(defended, x, DRAWS) < one


def test_free_memory_is_known_here() -> None:
    free = available_bytes("cpu")
    assert free is None or 2**20 < free < 2**50
    assert available_bytes("meta") is None


SUITE = Suite("toy", (Entry("eot", PGD(2), DRAWS),), (), 1, Probes(0))


@pytest.fixture
def data(new_images, defended) -> Images:
    pixels = (255 * new_images(4, 16, 16)).byte()
    labels = defended(pixels / 255, generator(0, "labels")).argmax(1)
    return Images.of(pixels, labels, "abcd", "toy", "test")


def test_an_evaluation_fits_into_what_is_free(defended, data, monkeypatch) -> None:
    whole = evaluate(defended, data, Linf(0.1), SUITE)
    x, _ = data.batch(torch.arange(4))
    each = graph_bytes(defended, x[:1])
    monkeypatch.setattr(probe, "available_bytes", lambda device: 2 * 8 * each)
    small = evaluate(defended, data, Linf(0.1), SUITE)
    assert small.same(whole)
    monkeypatch.setattr(probe, "available_bytes", lambda device: 2 * 3 * each)
    with pytest.raises(ConfigError, match=r"give a batch_size of 3 \(--batch_size\)"):
        evaluate(defended, data, Linf(0.1), SUITE)
    monkeypatch.setattr(probe, "available_bytes", lambda device: None)
    evaluate(defended, data, Linf(0.1), SUITE)


def test_an_interrupted_evaluation_leaves_the_model_as_it_was(defended, data, monkeypatch) -> None:
    x, _ = data.batch(torch.arange(4))
    each = graph_bytes(defended, x[:1])
    monkeypatch.setattr(probe, "available_bytes", lambda device: 2 * 8 * each)
    seen = []

    def interrupt(what: str, done: float, total: float) -> None:
        seen.append(defended.kept_rows)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(defended, data, Linf(0.1), SUITE, progress=interrupt)
    assert seen == [8]
    assert defended.kept_rows is None


def test_a_container_limits_what_is_free(tmp_path, monkeypatch) -> None:
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr(sizes, "_CGROUP", tmp_path)
    assert available_bytes() == 2_000_000
