"""Training of unified latents: what a latent costs beside what the decoder makes of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from alp import seeding
from alp.defences.unified import HIGHEST, LOWEST, UnifiedLatents, level, mixed, shares, velocity
from alp.training.base import TASKS, Source, Start, Task
from alp.training.losses import rate
from alp.training.stages import UnifiedStage


class UnifiedTask(Task):
    """Rate of the noisy latent + ``factor`` * loss of the decoder, in nats for each pixel value.

    With an even schedule of the log-SNR l from lambda_0 down, the rate is that of a diffusion model
    (Kingma et al. 2021, "Variational diffusion models", equation 12, here with v in place of the
    clean latent): (lambda_0 - l_1) / 2 * E[sigmoid(l) |v - predicted v|^2], and the divergence of
    what is left at the time 1 from pure noise. The decoder has the same for the image, each level
    weighted by sigmoid(bias - l) (Hoogeboom et al. 2025, "Simpler diffusion", section 3.1).
    """

    def __init__(self, stage: UnifiedStage, model: UnifiedLatents) -> None:
        super().__init__()
        self.stage = stage
        self.model: UnifiedLatents = model

    def forward(self, x: Tensor, attacked: Tensor, y: Tensor, source: Source) -> dict[str, Tensor]:
        z = self.model.encode(x).float()
        nats = self.rate(z, source)
        decoded = self.decoder_loss(2 * x - 1, self.model.noisy(z, source), source)
        loss = (nats + self.stage.factor * decoded).mean() / x[0].numel()
        return {
            "loss": loss,
            "bits_per_latent": nats.mean() / z[0].numel() / math.log(2),
            "latent_power": z.square().mean(),
            "decoder": decoded.mean() / x[0].numel(),
        }

    def rate(self, z: Tensor, source: Source) -> Tensor:
        """A draw of the bound on the rate of clean latents z (B,C,h,w), in nats, (B,)."""
        top = self.model.config.log_snr
        times, log_snr = _levels(z, top, source)
        noise = seeding.normal(z.shape, source).to(z)
        predicted = self.model.prior_velocity(mixed(z, noise, log_snr), times).float()
        error = (velocity(z, noise, log_snr) - predicted).square().flatten(1).sum(1)
        signal, other = shares(torch.tensor([LOWEST], device=z.device))
        return (top - LOWEST) / 2 * log_snr.sigmoid() * error + rate(signal * z, other)

    def decoder_loss(self, image: Tensor, latent: Tensor, source: Source) -> Tensor:
        """A draw of the weighted loss of images (B,3,H,W) in [-1,1] given noisy latents, (B,)."""
        times, log_snr = _levels(image, HIGHEST, source)
        noise = seeding.normal(image.shape, source).to(image)
        noised = mixed(image, noise, log_snr)
        predicted = self.model.decoder_velocity(noised, times, latent).float()
        error = (velocity(image, noise, log_snr) - predicted).square().flatten(1).sum(1)
        weight = log_snr.sigmoid() * (self.stage.bias - log_snr).sigmoid()
        return (HIGHEST - LOWEST) / 2 * weight * error


@TASKS.register("UnifiedStage")
def unified_task(stage: UnifiedStage, start: Start) -> UnifiedTask:
    """A new model."""
    with seeding.initialising(start.seed, "unified"):
        return UnifiedTask(stage, UnifiedLatents(stage.latents))


def _levels(like: Tensor, highest: float, source: Source) -> tuple[Tensor, Tensor]:
    """Times drawn evenly, and their log-SNRs, each (B,)."""
    times = seeding.uniform((len(like), 1), source).to(like.device)[:, 0]
    return times, level(times, highest)
