"""A contract over every backend, in every precision that it has."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from alp.deploy import BACKENDS, Consensus, build
from alp.deploy.engine import cores
from alp.errors import AlpError, ConfigError, UnknownNameError

pytestmark = pytest.mark.slow

CASES = [(name, each) for name, backend in BACKENDS.items() for each in backend.precisions]
CLOSE = {"float32": 1e-4, "bfloat16": 0.1, "int8": 0.3}
"""Largest difference of a logit to torch, relative to the largest one."""


@pytest.fixture(params=[case for case in CASES if case[0] != "compile"], ids="-".join)
def case(request, engine_of):
    """An engine, and the precision that it computes in."""
    name, precision = request.param
    for package in BACKENDS[name].needs:
        pytest.importorskip(package)
    return engine_of(name, precision), precision


def halves(defended, images: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N,B,K) and purified images (N,B,3,H,W) by torch, operator by operator."""
    size, leading = images.shape[2:], noise.shape[:2]
    with torch.no_grad():
        mu = defended.encode(torch.from_numpy(images)).mu
        z = mu + defended.purifier.noise.sigma * torch.from_numpy(noise)
        purified = defended.purifier.decode(z.flatten(0, 1), size).clamp(0, 1)
        logits = defended.classifier(purified)
    return logits.view(*leading, -1).numpy(), purified.view(*leading, 3, *size).numpy()


@pytest.mark.parametrize(("batch", "draws"), [(1, 1), (5, 3), (3, 20)])
def test_an_engine_is_the_defended_model(case, defended, images, batch: int, draws: int) -> None:
    engine, precision = case
    noise = engine.noise(np.random.default_rng(0), draws, batch)
    mu = engine.encode(images[:batch])
    logits, purified = halves(defended, images[:batch], noise)
    ours = engine.decode_classify(mu, noise)
    assert (mu.dtype, ours.dtype, ours.shape) == (np.float32, np.float32, logits.shape)
    assert np.abs(ours - logits).max() <= CLOSE[precision] * np.abs(logits).max()
    assert np.abs(engine.decode(mu, noise) - purified).max() <= CLOSE[precision]


def test_predictions(case, images) -> None:
    engine, _ = case
    logits = engine.predict(images, 5, 0)
    random = np.random.default_rng(0)
    noise = np.concatenate([engine.noise(random, 1, len(images)) for _ in range(5)])
    by_hand = engine.decode_classify(engine.encode(images), noise).mean(0)
    assert np.allclose(logits, by_hand, atol=1e-3)
    assert np.array_equal(logits, engine.predict(images, 5, np.random.default_rng(0)))
    assert not np.array_equal(logits, engine.predict(images, 5, 1))
    assert not np.array_equal(engine.predict(images), engine.predict(images))
    purified = engine.purify(images, 0)
    assert purified.shape == images.shape
    assert purified.min() >= 0
    assert purified.max() <= 1


def test_consensus_of_an_engine(case, images) -> None:
    engine, _ = case
    rule = Consensus(draws=12, first=2, group=1, error=0.9)
    outcome = engine.vote(images, rule, 0)
    random = np.random.default_rng(0)
    noise = engine.noise(random, 12, len(images))
    each = engine.decode_classify(engine.encode(images), noise)
    for row, draws in enumerate(outcome.draws):
        assert np.allclose(outcome.logits[row], each[:draws, row].mean(0), atol=2e-2)
    assert outcome.draws.sum() < 12 * len(images)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled(defended, images, calibration) -> None:
    engine = build("compile", defended, 1, size=(10, 14))
    noise = engine.noise(np.random.default_rng(0), 2, 5)
    with torch.no_grad():  # by torch: one compilation is long enough
        mu = defended.encode(torch.from_numpy(images)).mu.numpy()
    ours = engine.decode_classify(mu, noise)
    assert np.allclose(ours, halves(defended, images, noise)[0], atol=1e-4)


def test_large_batches_and_many_draws_are_shared_out(engine_of, monkeypatch) -> None:
    engine = engine_of("eager")
    seen, inner = [], engine.decode_classify
    monkeypatch.setattr(
        engine,
        "decode_classify",
        lambda mu, noise: seen.append(noise.shape[:2]) or inner(mu, noise),
    )
    for batch, draws in ((1, 70), (5, 20), (100, 2)):
        seen.clear()
        engine.predict(np.zeros((batch, 3, 10, 14), np.float32), draws)
        assert sum(n for n, _ in seen) == draws
        assert max(n * b for n, b in seen) <= max(64, batch)
        assert len(set(seen)) <= 2


def test_all_draws_at_once_as_on_a_gpu(engine_of, defended, images) -> None:
    engine = engine_of("eager")
    logits = engine.predict_at_once(images, 300, 0)
    assert np.array_equal(logits, engine.predict_at_once(images, 300, 0))
    assert not np.array_equal(logits, engine.predict_at_once(images, 300))
    each = np.stack([engine.predict(images, 1, seed) for seed in range(300)])
    assert (np.abs(logits - each.mean(0)) < 6 * each.std(0) * (2 / 300) ** 0.5).all()
    assert engine.predict_at_once(images).shape == (5, 4)


def test_memory_in_any_order(case, images) -> None:
    engine, _ = case
    behind = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not behind.flags.c_contiguous
    assert np.allclose(engine.predict(behind, 2, 0), engine.predict(images, 2, 0), atol=1e-3)


def test_threads_are_lent(defended, images) -> None:
    before = torch.get_num_threads()
    engine = build("eager", defended, before + 1, size=(10, 14))
    inner, during = engine._encode, []
    engine._encode = lambda x: during.append(torch.get_num_threads()) or inner(x)
    engine.encode(images)
    assert during == [before + 1]
    assert torch.get_num_threads() == before
    assert cores(0) >= 1
    for wrong in (-1, 1.5, True):
        with pytest.raises(ConfigError, match="threads is"):
            cores(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((2, 3, 14, 10), np.float32), "batch, 3, 10, 14"),
        (np.zeros((3, 10, 14), np.float32), "batch, 3, 10, 14"),
        (np.zeros((0, 3, 10, 14), np.float32), "non-empty"),
        (np.zeros((1, 3, 10, 14)), "give float32"),
        (np.zeros((1, 3, 10, 14), np.uint8), "divide bytes by 255"),
        ([[1.0]], "shape None"),
    ],
    ids=lambda value: str(getattr(value, "shape", "")),
)
def test_images_that_it_is_not_built_for(engine_of, wrong, message) -> None:
    engine = engine_of("eager")
    for call in (engine.predict, engine.purify, lambda x: engine.vote(x, Consensus())):
        with pytest.raises(ConfigError, match=message):
            call(wrong)


@pytest.mark.parametrize("draws", [0, 1.5, True])
def test_draws_that_are_none(engine_of, images, draws) -> None:
    with pytest.raises(ConfigError, match="draws is"):
        engine_of("eager").predict(images, draws)


def test_what_cannot_be_built(defended, monkeypatch) -> None:
    with pytest.raises(UnknownNameError, match="onnxruntime"):
        build("tensorrt", defended)
    with pytest.raises(ConfigError, match="take backend onnxruntime or openvino"):
        build("eager", defended, precision="int8")
    with pytest.raises(ConfigError, match="int8 needs some clean training images"):
        build("onnxruntime", defended, precision="int8")
    with pytest.raises(ConfigError, match=r"batch, 3, 10, 14"):
        build(
            "onnxruntime",
            defended,
            precision="int8",
            size=(10, 14),
            calibration=np.zeros((2, 3, 8, 8), np.float32),
        )
    monkeypatch.setattr("alp.deploy.backends.find_spec", lambda name: None)
    with pytest.raises(AlpError, match=r"pip install .*\.\[openvino\]"):
        build("openvino", defended)
