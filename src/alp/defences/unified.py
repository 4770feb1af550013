"""Purification by unified latents (Heek et al. 2026, "Unified latents", from its abstract and
summaries; there is no public code).

A deterministic encoder, noise of a fixed log-SNR lambda_0 on its latent, a diffusion model of these
noisy latents, whose lowest noise is the encoder's, and a diffusion model of the image given the
noisy latent. All noise is variance preserving: a variable at the log-SNR l is
sqrt(sigmoid(l)) clean + sqrt(sigmoid(-l)) noise. Networks predict v = sqrt(sigmoid(l)) noise -
sqrt(sigmoid(-l)) clean (Salimans and Ho 2022, section 4).
"""

from __future__ import annotations

from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.config import LatentsConfig, PurifierConfig, from_dict, require_number, to_dict
from alp.defences.base import (
    DEFENCES,
    PURIFIERS,
    PurifierBase,
    in_own_precision,
    require_images,
    require_shape,
)
from alp.defences.diffusion import TimedBlock, UNet, embedding
from alp.defences.preprocessed import Preprocessed, classifier_of
from alp.defences.pretrained import Pretrained
from alp.defences.purifier import Encoder

LOWEST = -10.0
"""The log-SNR at the time 1 of prior and decoder: next to nothing of the signal is left."""

HIGHEST = 6.0
"""The log-SNR of images at the time 0 of the decoder."""

STRIDE = 4
"""Pixels per latent cell along each axis."""

TICKS = 1000.0
"""Times of the networks' embedding between 0 and 1."""

STEPS = 4
"""Steps of the decoder."""

MOST_STEPS = 1000


def level(times: Tensor, highest: float) -> Tensor:
    """The log-SNR at the times (B,) in [0,1], which falls evenly from ``highest`` to ``LOWEST``."""
    return highest + (LOWEST - highest) * times


def shares(log_snr: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of the signal and of the noise at log-SNRs (B,), each (B,1,1,1)."""
    spread = log_snr.view(-1, 1, 1, 1)
    return spread.sigmoid().sqrt(), (-spread).sigmoid().sqrt()


def mixed(clean: Tensor, noise: Tensor, log_snr: Tensor) -> Tensor:
    """The variable at log-SNRs (B,)."""
    signal, other = shares(log_snr)
    return signal * clean + other * noise


def velocity(clean: Tensor, noise: Tensor, log_snr: Tensor) -> Tensor:
    """What the networks predict at log-SNRs (B,): v."""
    signal, other = shares(log_snr)
    return signal * noise - other * clean


class Prior(nn.Module):
    """Noisy latents (B,C,h,w) and times (B,) -> their v."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.embed = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.stem = nn.Conv2d(channels, width, 3, 1, 1)
        self.blocks = nn.ModuleList(TimedBlock(width, width, width) for _ in range(3))
        self.head = nn.Conv2d(width, channels, 3, 1, 1)

    def forward(self, z: Tensor, times: Tensor) -> Tensor:
        t = self.embed(embedding(TICKS * times, self.width).to(z.dtype))
        h = self.stem(z)
        for block in self.blocks:
            h = block(h, t)
        out: Tensor = self.head(F.silu(h))
        return out


@final
@PURIFIERS.register("unified-latents")
class UnifiedLatents(Pretrained, PurifierBase):
    """Encoder, prior and decoder. Called, it purifies images by ``STEPS`` steps of the decoder;
    any size of image works."""

    def __init__(self, config: LatentsConfig | None = None) -> None:
        super().__init__()
        self.config = config or LatentsConfig()
        channels, width = self.config.channels, self.config.width
        self.encoder = Encoder(PurifierConfig(channels, width, blocks=2))
        # An even number of channels: half sines, half cosines.
        self.prior = Prior(channels, 6 * ((width + 1) // 2))
        self.decoder = UNet(width, 3 + channels)

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise on the latent."""
        return float((-torch.tensor(self.config.log_snr)).sigmoid().sqrt())

    def encode(self, x: Tensor) -> Tensor:
        """Clean latents: (B,3,H,W) in [0,1] -> (B,C,ceil(H/4),ceil(W/4)).

        Raises:
            ConfigError: ``x`` is not a non-empty batch of RGB images.
        """
        require_shape(x)
        bottom, right = (-side % STRIDE for side in x.shape[2:])
        x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)
        z: Tensor = in_own_precision(self.encoder, self.encoder, x)
        return z

    def noisy(self, z: Tensor, source: seeding.Source) -> Tensor:
        """One draw of the latents z_0 that the decoder sees."""
        log_snr = torch.full((len(z),), self.config.log_snr, device=z.device)
        return mixed(z, seeding.normal(z.shape, source).to(z), log_snr).to(z.dtype)

    def prior_velocity(self, z: Tensor, times: Tensor) -> Tensor:
        """The predicted v of latents at the times (B,) of the prior."""
        v: Tensor = in_own_precision(self.prior, lambda each: self.prior(each, times), z)
        return v

    def decoder_velocity(self, x: Tensor, times: Tensor, latent: Tensor) -> Tensor:
        """The predicted v of images (B,3,4h,4w) in [-1,1], noised to the times (B,) of the decoder,
        given latents (B,C,h,w)."""
        given = torch.cat([x, F.interpolate(latent, scale_factor=float(STRIDE))], 1)
        call = lambda each: self.decoder(each, TICKS * times)  # noqa: E731
        v: Tensor = in_own_precision(self.decoder, call, given)
        return v

    def decode(self, latent: Tensor, source: seeding.Source, steps: int) -> Tensor:
        """Images (B,3,4h,4w) in [0,1] from pure noise, given latents z_0, by ``steps`` steps of
        equal log-SNR without fresh noise (Song et al. 2021, "Denoising diffusion implicit models",
        equation 12); the last one gives the predicted image."""
        height, width = (STRIDE * side for side in latent.shape[-2:])
        x = seeding.normal((len(latent), 3, height, width), source).to(latent)
        for number in range(steps):
            now, then = (
                torch.full((len(x),), 1 - each / steps, device=x.device)
                for each in (number, number + 1)
            )
            signal, other = shares(level(now, HIGHEST))
            v = self.decoder_velocity(x, now, latent)
            clean, noise = signal * x - other * v, other * x + signal * v
            x = clean if number == steps - 1 else mixed(clean, noise, level(then, HIGHEST))
        return ((x + 1) / 2).clamp(0, 1)

    def purified(self, x: Tensor, source: seeding.Source, steps: int) -> Tensor:
        """One draw of purified images by ``steps`` steps of the decoder."""
        image = self.decode(self.noisy(self.encode(x), source), source, steps)
        return image[..., : x.shape[-2], : x.shape[-1]]

    def forward(self, x: Tensor, source: seeding.Source | None = None) -> Tensor:
        """One draw of purified images.

        Raises:
            ConfigError: ``x`` is no batch of images in [0,1].
        """
        if not self.training:
            require_images(x)
        return self.purified(x, seeding.entropy(x.device) if source is None else source, STEPS)

    def describe(self) -> dict[str, Any]:
        return {"kind": "unified-latents", "config": to_dict(self.config)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(from_dict(LatentsConfig, description["config"]))


@final
@DEFENCES.register("unified")
class Unified(Preprocessed):
    """A classifier behind unified latents: encoded, noised, decoded by a few steps of diffusion.
    Attackers get the exact gradient of all of it."""

    trained = True

    def __init__(
        self, classifier: nn.Module, latents: UnifiedLatents, steps: int = STEPS, draws: int = 1
    ) -> None:
        """Put unified latents in front of a classifier.

        Args:
            classifier: images (B,3,H,W) in [0,1] -> logits (B,K).
            latents: encoder and decoder.
            steps: of the decoder.
            draws: whose logits the deployed prediction averages.

        Raises:
            ConfigError: a number is out of range.
        """
        super().__init__(classifier, draws)
        require_number("the steps of Unified", steps, 1, MOST_STEPS, whole=True)
        self.latents, self.steps = latents, steps

    @property
    def settings(self) -> dict[str, Any]:
        return {"steps": self.steps, "draws": self.draws}

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        return self.latents.purified(x, source, self.steps)

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"latents": self.latents.describe()}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(
            classifier_of(description),
            UnifiedLatents.from_description(description["latents"]),
            **description["settings"],
        )
