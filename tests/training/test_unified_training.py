"""The losses of unified latents against closed forms, and that they are learned by."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from alp.config import LatentsConfig
from alp.data.quality import psnr
from alp.defences.unified import (
    HIGHEST,
    LOWEST,
    UnifiedLatents,
    level,
    shares,
    velocity,
)
from alp.seeding import generator, initialising, normal, uniform
from alp.training import UnifiedStage
from alp.training.train import train
from alp.training.unified import UnifiedTask

SMALL = LatentsConfig(4, 4)


@pytest.fixture
def latents() -> UnifiedLatents:
    with initialising(0, "unified"):
        return UnifiedLatents(SMALL)


def images(count: int) -> Tensor:
    return uniform((count, 3, 16, 16), generator(0, "images"))


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


class Gaussian(nn.Module):
    """The best prediction of v where latents are normal with deviation 1: zero, since v and the
    noisy latent are independent."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, z: Tensor, times: Tensor) -> Tensor:
        return torch.zeros_like(z[:, : self.channels])


def test_a_perfect_decoder_has_no_loss_and_a_poor_one_its_weighted_error(latents) -> None:
    x = images(3)
    task = UnifiedTask(UnifiedStage(SMALL), latents)
    z = torch.zeros(3, 4, 4, 4)
    latents.decoder = Knows(2 * x - 1, HIGHEST)
    assert float(task.decoder_loss(2 * x - 1, z, generator(0, "step")).abs().max()) < 1e-4
    many = torch.zeros(20_000, 3, 4, 4)
    latents.decoder = Gaussian(3)  # of grey images v is the noise's share
    found = float(task.decoder_loss(many, torch.zeros(20_000, 4, 1, 1), generator(0, "s")).mean())
    grid = torch.linspace(LOWEST, HIGHEST, 10_001)
    weights = grid.sigmoid().square() * (task.stage.bias - grid).sigmoid()
    expected = (HIGHEST - LOWEST) / 2 * 48 * float(weights.mean())
    assert found == pytest.approx(expected, rel=0.03)


def test_the_rate_of_normal_latents_is_that_of_a_gaussian_channel(latents) -> None:
    """Latents of deviation 1 under the encoder's noise carry log(1 + SNR) / 2 nats each; a prior
    that predicts them as well as possible pays just that."""
    latents.prior = Gaussian(4)
    task = UnifiedTask(UnifiedStage(SMALL), latents)
    z = normal((20_000, 4, 1, 1), generator(0, "latents"))
    found = float(task.rate(z, generator(0, "rate")).mean()) / 4
    assert found == pytest.approx(math.log1p(math.exp(SMALL.log_snr)) / 2, rel=0.03)


def test_the_encoder_learns_from_rate_and_decoder(latents) -> None:
    task = UnifiedTask(UnifiedStage(SMALL), latents)
    x = images(4)
    task(x, x, torch.zeros(4), generator(0, "step"))["loss"].backward()
    for part in ("encoder", "prior", "decoder"):
        gradients = [p.grad for p in getattr(latents, part).parameters() if p.grad is not None]
        assert any(bool(each.abs().max() > 0) for each in gradients), part


@pytest.mark.slow
def test_it_learns_to_keep_the_picture(toy, engine, short, tmp_path) -> None:
    optim = short(optimizer="adamw", lr=1e-2, epochs=30, clip=1.0, warmup=0.05)
    stage = UnifiedStage(LatentsConfig(8, 8), optim=optim)
    model = train(stage, tmp_path, toy, engine=engine).model
    x, _ = toy.batch(torch.arange(8))
    with torch.no_grad():
        found = model.purify(x, generator(0, "purify"))
    assert float(psnr(x, found).mean()) > float(psnr(x, x.roll(1, 0)).mean()) + 3
