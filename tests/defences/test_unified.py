"""Unified latents: their noise, their rate, and a decoder that is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from alp.config import LatentsConfig
from alp.defences import ResNetLite
from alp.defences.assemble import assemble
from alp.defences.checkpoint import load_model, save
from alp.defences.unified import (
    HIGHEST,
    Unified,
    UnifiedLatents,
    level,
    mixed,
    shares,
    velocity,
)
from alp.errors import ConfigError
from alp.seeding import generator, initialising, normal, uniform

SMALL = LatentsConfig(4, 4)


@pytest.fixture
def latents() -> UnifiedLatents:
    with initialising(0, "unified"):
        return UnifiedLatents(SMALL).eval()


def images(count: int = 2, height: int = 16, width: int = 16) -> Tensor:
    return uniform((count, 3, height, width), generator(0, "images"))


class Knows(nn.Module):
    """The v of an image that is known, whatever it is asked."""

    def __init__(self, clean: Tensor, highest: float) -> None:
        super().__init__()
        self.clean, self.highest = clean, highest

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        log_snr = level(times / 1000, self.highest)
        x = x[:, : self.clean.shape[1]]
        signal, other = shares(log_snr)
        return velocity(self.clean, (x - signal * self.clean) / other, log_snr)


def test_noise_and_velocity_are_orthogonal_mixtures() -> None:
    clean, noise = (normal((5, 1, 3, 3), generator(0, name)) for name in ("clean", "noise"))
    log_snr = torch.tensor([-3.0, 0.0, 2.0, 5.0, 9.0])
    x, v = mixed(clean, noise, log_snr), velocity(clean, noise, log_snr)
    signal, other = shares(log_snr)
    assert torch.allclose(signal.square() + other.square(), torch.ones(5, 1, 1, 1))
    assert torch.allclose((signal / other).square().log().flatten(), log_snr, atol=1e-4)
    assert torch.allclose(signal * x - other * v, clean, atol=1e-5)
    assert torch.allclose(other * x + signal * v, noise, atol=1e-5)


def test_the_latent_has_the_noise_of_its_log_snr(latents) -> None:
    assert UnifiedLatents().sigma == pytest.approx(0.0818, abs=1e-4)
    z = torch.zeros(4, 4, 50, 50)
    found = latents.noisy(z, generator(0, "noise"))
    assert float(found.std()) == pytest.approx(latents.sigma, rel=0.02)
    signal = math.sqrt(1 / (1 + math.exp(-SMALL.log_snr)))
    assert float(latents.noisy(z + 1, generator(0, "noise")).mean()) == pytest.approx(
        signal, abs=0.01
    )


@pytest.mark.parametrize("steps", [1, 4, 8])
def test_a_perfect_decoder_gives_back_its_image(latents, steps: int) -> None:
    x = images()
    latents.decoder = Knows(2 * x - 1, HIGHEST)
    found = latents.purified(x, generator(0, "purify"), steps)
    assert torch.allclose(found, x, atol=1e-4)


def test_it_is_assembled_and_found_again(latents, tmp_path) -> None:
    with initialising(0, "head"):
        head = ResNetLite().eval()
    model = assemble("unified", head, settings={"steps": 2}, latents=latents)
    assert isinstance(model, Unified)
    save(model, tmp_path / "unified.safetensors")
    again = load_model(tmp_path / "unified.safetensors")
    x = images(2, 18, 21)
    one, other = (each.purify(x, generator(0, "x")) for each in (model, again))
    assert one.shape == x.shape
    assert torch.equal(one, other)
    assert again.latents.sigma == latents.sigma


def test_what_is_missing_or_out_of_range_is_said(latents) -> None:
    head = ResNetLite().eval()
    with pytest.raises(ConfigError, match=r"needs a model of unified latents.*'alp train unified'"):
        assemble("unified", head)
    with pytest.raises(ConfigError, match="the steps of Unified is 0"):
        Unified(head, latents, steps=0)
    with pytest.raises(ConfigError, match=r"LatentsConfig\.log_snr is 90"):
        LatentsConfig(log_snr=90.0)
