"""The noise predictor of the diffusion model: a U-Net of two scale changes without normalisation.

Low noise is a local matter: there is no attention, and what is coarser than 8 x 8 of 32 x 32
pixels passes by the skip connections.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
    """x (B,3,H,W) and times (B,) -> the predicted noise (B,3,H,W).

    ``width`` channels at full resolution, twice as many at a half and at a quarter. Heights and
    widths that are no multiples of 4 are padded by replication and cropped back.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, wide, size = width, 2 * width, 4 * width
        self.embed = nn.Sequential(nn.Linear(wide, size), nn.SiLU(), nn.Linear(size, size))
        self.stem = nn.Conv2d(3, width, 3, 1, 1)
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
