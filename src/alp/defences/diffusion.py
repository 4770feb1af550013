"""A diffusion model of low noise: it predicts the noise of an image that is mostly image.

Purification never goes far into the noise, so that the model is trained for the first steps of the
forward process only. It denoises; it cannot generate. Low noise is a local matter: its U-Net of two
scale changes, without normalisation, has no attention, and what is coarser than 8 x 8 of 32 x 32
pixels passes by the skip connections.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.config import DIFFUSION_STEPS, DiffusionConfig, from_dict, require_number, to_dict
from alp.defences.base import PURIFIERS, PurifierBase, in_own_precision, require_images
from alp.defences.pretrained import Pretrained

LONGEST_PERIOD = 10_000.0
"""Longest period of the time embedding, in time steps (Vaswani et al. 2017, section 3.5)."""


class TimedBlock(nn.Module):
    """Residual block that is told the time: a scale and a shift for each channel between its two
    convolutions (as in Dhariwal and Nichol 2021, section 3, without the normalisation).

    (B, inputs, H, W) and an embedding (B, E) -> (B, outputs, H, W). The last convolution starts at
    zero, so that a deep stack starts as its skip.
    """

    def __init__(self, inputs: int, outputs: int, embedding: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.film = nn.Linear(embedding, 2 * outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, 1)
        h = self.conv1(F.silu(x)) * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.conv2(F.silu(h))
        return out


class UNet(nn.Module):
    """x (B,inputs,H,W) and times (B,) -> the predicted noise (B,3,H,W).

    ``width`` channels at full resolution, twice as many at a half and at a quarter. Heights and
    widths that are no multiples of 4 are padded by replication and cropped back.
    """

    concatenated = ("up2.conv1", "up2.skip", "up1.conv1", "up1.skip")
    """Layers whose input is a concatenation of two halves."""

    def __init__(self, width: int, inputs: int = 3) -> None:
        super().__init__()
        self.width, wide, size = width, 2 * width, 4 * width
        self.embed = nn.Sequential(nn.Linear(wide, size), nn.SiLU(), nn.Linear(size, size))
        self.stem = nn.Conv2d(inputs, width, 3, 1, 1)
        self.down1 = TimedBlock(width, width, size)
        self.halve1 = nn.Conv2d(width, wide, 3, 2, 1)
        self.down2 = TimedBlock(wide, wide, size)
        self.halve2 = nn.Conv2d(wide, wide, 3, 2, 1)
        self.middle1 = TimedBlock(wide, wide, size)
        self.middle2 = TimedBlock(wide, wide, size)
        self.up2 = TimedBlock(2 * wide, wide, size)
        self.narrow = nn.Conv2d(wide, width, 1)
        self.up1 = TimedBlock(wide, width, size)
        self.head = nn.Conv2d(width, 3, 3, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        bottom, right = -height % 4, -width % 4
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)
        t = self.embed(embedding(times, 2 * self.width).to(x.dtype))
        fine = self.down1(self.stem(x), t)
        coarse = self.down2(self.halve1(fine), t)
        h = self.middle2(self.middle1(self.halve2(coarse), t), t)
        h = self.up2(torch.cat([F.interpolate(h, scale_factor=2.0), coarse], 1), t)
        h = F.interpolate(self.narrow(h), scale_factor=2.0)
        noise: Tensor = self.head(F.silu(self.up1(torch.cat([h, fine], 1), t)))
        return noise[..., :height, :width]


def embedding(times: Tensor, size: int) -> Tensor:
    """Sines and cosines of the times (B,) -> (B, size), float32 (Ho et al. 2020, appendix B)."""
    half = size // 2
    exponents = torch.arange(half, device=times.device) / half
    angles = times.float()[:, None] * torch.exp(-math.log(LONGEST_PERIOD) * exponents)
    return torch.cat([angles.sin(), angles.cos()], 1)


PURIFYING = 100
"""Time step of purification on CIFAR-10: t* = 0.1 of 1000 steps (Nie et al. 2022, section 5.1)."""


@cache
def signal_shares() -> tuple[float, ...]:
    """Share of the signal's variance at the times 0 (all of it) to 1000, for betas from 1e-4 to
    0.02 (Ho et al. 2020, section 4). Numbers and no tensor: a model may be asked for its shapes
    alone, on a device that holds no values."""
    shares = [1.0]
    for step in range(DIFFUSION_STEPS):
        shares.append(shares[-1] * (1 - 1e-4 - (0.02 - 1e-4) * step / (DIFFUSION_STEPS - 1)))
    return tuple(shares)


def alpha_bar() -> Tensor:
    """``signal_shares`` as a tensor, (1001,), float32."""
    return torch.tensor(signal_shares())


@final
@PURIFIERS.register("diffusion")
class Diffusion(Pretrained, PurifierBase):
    """The noise predictor of a DDPM (Ho et al. 2020) for the times 1 to ``config.horizon``.

    Its variable z is an image in [-1,1], scaled and noised:
    z = sqrt(alpha_bar_t) (2 x - 1) + sqrt(1 - alpha_bar_t) n. Called, it purifies images by one
    step from the time ``PURIFYING``.
    """

    signal: Tensor

    def __init__(self, config: DiffusionConfig | None = None) -> None:
        super().__init__()
        self.config = config or DiffusionConfig()
        self.network = UNet(self.config.width)
        self.register_buffer("signal", alpha_bar(), persistent=False)

    @property
    def sigma(self) -> float:
        """The noise of one-step purification, as a standard deviation on images in [0,1]."""
        return deviation(min(PURIFYING, self.config.horizon))

    def predict(self, z: Tensor, times: Tensor) -> Tensor:
        """z (B,3,H,W) at the times (B,), whole numbers from 1 -> its noise, of the same shape."""
        noise: Tensor = in_own_precision(self.network, lambda each: self.network(each, times), z)
        return noise

    def noised(self, x: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """Images (B,3,H,W) in [0,1] -> z at the times (B,), with ``noise`` of the same shape."""
        share = self.signal[times].view(-1, 1, 1, 1)
        z: Tensor = share.sqrt() * (2 * x - 1) + (1 - share).sqrt() * noise
        return z

    def denoised(self, z: Tensor, times: Tensor) -> Tensor:
        """z at the times (B,) -> the predicted images, (B,3,H,W) in [-1,1], not clamped (Ho et al.
        2020, equation 15)."""
        share = self.signal[times].view(-1, 1, 1, 1)
        image: Tensor = (z - (1 - share).sqrt() * self.predict(z, times)) / share.sqrt()
        return image

    def forward(self, x: Tensor, source: seeding.Source | None = None) -> Tensor:
        """One draw of purified images: noised, and denoised in one step.

        Raises:
            ConfigError: ``x`` is no batch of images in [0,1].
        """
        if not self.training:
            require_images(x)
        source = seeding.entropy(x.device) if source is None else source
        at = min(PURIFYING, self.config.horizon)
        times = torch.full((len(x),), at, device=x.device)
        z = self.noised(x, times, seeding.normal(x.shape, source).to(x))
        return ((self.denoised(z, times) + 1) / 2).clamp(0, 1)

    def require_time(self, name: str, time: object) -> None:
        """Raise a ConfigError that calls ``time`` ``name`` unless the model is trained for it."""
        require_number(name, time, 1, self.config.horizon, whole=True)

    def describe(self) -> dict[str, Any]:
        return {"kind": "diffusion", "config": to_dict(self.config)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(from_dict(DiffusionConfig, description["config"]))


def deviation(time: int) -> float:
    """The noise at a time relative to the signal, as a standard deviation on images in [0,1]:
    sqrt((1 - alpha_bar) / alpha_bar) / 2."""
    share = signal_shares()[time]
    return math.sqrt((1 - share) / share) / 2
