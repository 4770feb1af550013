"""The decoder: light, since it runs once per draw."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from alp.config import PurifierConfig
from alp.models.encoder import PATCH, STRIDE


class Decoder(nn.Module):
    """Latent to image: z (B, latent_channels, h, w) -> (B, 3, 4 h, 4 w).

    The output is not clamped: in training a clamp would cut the gradient at 0 and 1. ``Purifier``
    clamps what it returns as a picture.
    """

    def __init__(self, config: PurifierConfig) -> None:
        super().__init__()
        width = config.width
        self.linear = nn.Sequential(
            nn.Conv2d(config.latent_channels, PATCH, 1), nn.PixelShuffle(STRIDE)
        )
        self.stem = nn.Conv2d(config.latent_channels, 2 * width, 3, 1, 1)
        self.up = nn.PixelShuffle(2)
        self.mix = nn.Conv2d(width // 2, width, 3, 1, 1)
        image = nn.Conv2d(width, 12, 3, 1, 1)
        nn.init.zeros_(image.weight)
        self.head = nn.Sequential(image, nn.PixelShuffle(2))

    def forward(self, z: Tensor) -> Tensor:
        h = self.up(F.relu(self.stem(z)))
        x: Tensor = (self.linear(z) + self.head(F.relu(self.mix(h))) + 1) / 2
        return x
