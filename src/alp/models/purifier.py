"""The Asymmetric Latent Purifier: encoder, learned noise, decoder."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.config import PurifierConfig
from alp.errors import ConfigError
from alp.models.decoder import Decoder
from alp.models.encoder import STRIDE, Encoder
from alp.models.noise import LatentNoise
from alp.models.pretrained import Pretrained


class Purifier(Pretrained, nn.Module):
    """x (B, 3, H, W) in [0,1] -> a purified x of the same shape, another one for every draw.

    Heights and widths that are not multiples of 4 are padded by replication and cropped back.
    """

    def __init__(self, config: PurifierConfig | None = None) -> None:
        super().__init__()
        self.config = config or PurifierConfig()
        self.encoder = Encoder(self.config)
        self.noise = LatentNoise(self.config)
        self.decoder = Decoder(self.config)
        forth, back = self.encoder.linear[1], self.decoder.linear[0]
        assert isinstance(forth, nn.Conv2d)
        assert isinstance(back, nn.Conv2d)
        with torch.no_grad():  # the transposed transform: its inverse, where the latent holds it
            back.weight.copy_(forth.weight.transpose(0, 1) / 4)
            nn.init.zeros_(cast(Tensor, back.bias))
            nn.init.zeros_(cast(Tensor, forth.bias))

    @property
    def sigma(self) -> float:
        """The noise level: the scalar, or the mean over channels."""
        return float(self.noise.sigma.detach().mean())

    def encode(self, x: Tensor) -> Tensor:
        """Latent mean: (B, 3, H, W) -> (B, C, ceil(H / 4), ceil(W / 4)).

        Raises:
            ConfigError: ``x`` is not a non-empty batch of RGB images.
        """
        if x.ndim != 4 or x.shape[1] != 3 or not x.numel():
            raise ConfigError(
                f"images have shape {tuple(x.shape)}; give a non-empty (batch, 3, height, width)"
            )
        bottom, right = -x.shape[2] % STRIDE, -x.shape[3] % STRIDE
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        mu: Tensor = self.encoder(x.contiguous(memory_format=torch.channels_last))
        return mu

    def decode(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        """Latents (B, C, h, w) -> images (B, 3, *size), cropped, not clamped."""
        image: Tensor = self.decoder(z)
        return image[..., : size[0], : size[1]]

    def draw(
        self,
        mu: Tensor,
        source: seeding.Source,
        size: tuple[int, int],
        *,
        draws: int = 1,
        sigma: float | None = None,
        stop_gradient: bool | None = None,
    ) -> Tensor:
        """Decode draws of the latent: mu (B, C, h, w) -> (draws * B, 3, *size) in [0,1], draw
        after draw.

        Args:
            source: generator of the noise, advanced by the draws.
            size: height and width of the images.
            draws: how many of each latent.
            sigma: a noise level instead of the learned one, for sweeps; 0 decodes the mean.
            stop_gradient: cut the gradient at the latent; by default as configured, and never
                while training.
        """
        if stop_gradient is None:
            stop_gradient = self.config.stop_gradient and not self.training
        z = torch.cat([self.noise(mu, source, sigma) for _ in range(draws)])
        return self.decode(z.detach() if stop_gradient else z, size).clamp(0, 1)

    def forward(
        self,
        x: Tensor,
        source: seeding.Source | None = None,
        *,
        sigma: float | None = None,
        stop_gradient: bool | None = None,
    ) -> Tensor:
        """Purify: encode, draw once, decode.

        Without ``source`` the noise is seeded by the operating system.
        """
        source = seeding.entropy(x.device) if source is None else source
        size = (x.shape[-2], x.shape[-1])
        return self.draw(self.encode(x), source, size, sigma=sigma, stop_gradient=stop_gradient)
