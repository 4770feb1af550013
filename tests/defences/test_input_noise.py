"""The controls of the purifier: noise at the input, and no noise at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from alp.config import PurifierConfig
from alp.defences import InputNoise
from alp.defences.checkpoint import load_model, save, weights_digest
from alp.errors import ConfigError
from alp.seeding import generator


def test_draws_are_gaussian_with_the_given_deviation() -> None:
    model = InputNoise(nn.Flatten(), 0.25).eval()
    x = torch.full((1, 3, 100, 100), 0.5)
    noise = model.sample(x, generator(0, "draw"), 2) - 0.5
    assert noise.shape == (2, 1, 30_000)
    assert float(noise.std()) == pytest.approx(0.25, rel=0.02)
    assert abs(float(noise.mean())) < 0.005
    assert abs(float(torch.corrcoef(noise[:, 0])[0, 1])) < 0.02


def test_the_prediction_is_the_mean_over_draws(new_classifier, new_images) -> None:
    model, x = InputNoise(new_classifier(), 0.1, 5).eval(), new_images(20, 8, 8)
    mean = model.sample(x, generator(0, "draw"), 5).mean(0)
    assert torch.allclose(model(x, generator(0, "draw")), mean, atol=1e-5)
    assert not torch.equal(model(x), model(x))  # the operating system's entropy


def test_it_comes_back_bit_for_bit(new_classifier, tmp_path: Path) -> None:
    model = InputNoise(new_classifier(), 0.1, 5).eval()
    save(model, tmp_path / "weights")
    again = load_model(tmp_path / "weights")
    assert again.describe() == model.describe()
    assert (again.sigma, again.draws) == (0.1, 5)
    assert weights_digest(again) == weights_digest(model)


def test_an_evaluation_sees_a_random_target(new_classifier, new_images) -> None:
    model, x = InputNoise(new_classifier(), 0.1, 5).eval(), new_images(4, 8, 8)
    assert model.stochastic
    assert model.draws == 5
    assert model.logits(x, generator(0, "draw"), 3).shape == (3, 4, 4)


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan"), float("inf"), True, "0.1"])
def test_a_deviation_that_is_none_is_refused(sigma, new_classifier) -> None:
    with pytest.raises(ConfigError, match="sigma is"):
        InputNoise(new_classifier(), sigma)


@pytest.mark.parametrize("draws", [0, -1, 1.5, True])
def test_draws_that_are_none_are_refused(draws, new_classifier, new_images) -> None:
    with pytest.raises(ConfigError, match="draws is"):
        InputNoise(new_classifier(), 0.1, draws)
    with pytest.raises(ConfigError, match="draws is"):
        InputNoise(new_classifier(), 0.1)(new_images(1, 8, 8), draws=draws)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_without_noise_a_purifier_is_deterministic(kind, new_purifier, new_images) -> None:
    model, x = new_purifier("fixed", sigma=0.0).to(kind), new_images(2, 8, 8).to(kind)
    assert model.sigma == 0
    assert torch.equal(model(x), model(x))
    assert torch.equal(model(x), model(x, sigma=0.0))


@pytest.mark.parametrize("noise", ["learned", "per-channel"])
def test_no_noise_cannot_be_learned(noise) -> None:
    with pytest.raises(ConfigError, match=r"sigma is 0\.0.*fixed"):
        PurifierConfig(noise=noise, sigma=0.0)
