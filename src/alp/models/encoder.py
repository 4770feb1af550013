"""The encoder: where the purifier's compute belongs, since it runs once per image."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from alp.config import PurifierConfig
from alp.models.blocks import PlainBlock

STRIDE = 4
"""Pixels of the image per latent cell, along each axis."""

PATCH = 3 * STRIDE**2
"""Pixel values of the image per latent cell."""


class Encoder(nn.Module):
    """Image to latent mean: (B, 3, H, W) in [0,1] -> mu (B, latent_channels, H / 4, W / 4).

    H and W have to be multiples of ``STRIDE``; ``Purifier`` pads other sizes. A linear transform
    of each 4 x 4 patch goes around the network: with the decoder's it starts as an orthonormal
    transform code, so that the first thing to be learned is the noise level and not the identity.
    """

    def __init__(self, config: PurifierConfig) -> None:
        super().__init__()
        width = config.width
        transform = nn.Conv2d(PATCH, config.latent_channels, 1)
        nn.init.orthogonal_(transform.weight, gain=2.0)
        self.linear = nn.Sequential(nn.PixelUnshuffle(STRIDE), transform)
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, width, 3, 1, 1))
        self.fine = nn.Sequential(*(PlainBlock(width) for _ in range(config.blocks)))
        self.down = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.coarse = nn.Sequential(*(PlainBlock(2 * width) for _ in range(config.blocks)))
        self.head = nn.Conv2d(2 * width, config.latent_channels, 3, 1, 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = 2 * x - 1
        h = self.fine(self.stem(x))
        h = self.coarse(self.down(F.relu(h)))
        mu: Tensor = self.linear(x) + self.head(F.relu(h))
        return mu
