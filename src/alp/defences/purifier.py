"""The Asymmetric Latent Purifier: encoder, learned Gaussian noise, decoder.

The encoder is where the compute belongs, since it runs once an image. The decoder is light, since
it runs once a draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.config import PurifierConfig, from_dict, to_dict
from alp.defences.base import (
    PURIFIERS,
    PurifierBase,
    in_own_precision,
    require_images,
    require_shape,
)
from alp.defences.classifier import PlainBlock
from alp.defences.pretrained import Pretrained


def _unit(mu: Tensor) -> Tensor:
    return mu * (mu.square().mean(1, keepdim=True) + 1e-6).rsqrt()


_HELD: dict[str, Callable[[Tensor], Tensor]] = {
    "free": lambda mu: mu,
    "bounded": torch.tanh,
    "unit": _unit,
}
"""``latent`` of the configuration to what is made of latent means (B, C, h, w)."""


class Encoder(nn.Module):
    """Image to latent mean: (B, 3, H, W) in [0,1] -> mu (B, latent_channels, H / s, W / s), with
    the stride s of the configuration.

    H and W have to be multiples of the stride; ``Purifier`` pads other sizes. A linear transform
    of each s x s patch goes around the network, where the configuration does not leave it out: with
    the decoder's it starts as an orthonormal transform code, so that the first thing to be learned
    is the noise level and not the identity.
    """

    def __init__(self, config: PurifierConfig) -> None:
        super().__init__()
        width, half = config.width, config.stride // 2
        self.linear: nn.Sequential | None = None
        if config.linear:
            transform = nn.Conv2d(3 * config.stride**2, config.latent_channels, 1)
            nn.init.orthogonal_(transform.weight, gain=2.0)
            self.linear = nn.Sequential(nn.PixelUnshuffle(config.stride), transform)
        self.stem = nn.Sequential(nn.PixelUnshuffle(half), nn.Conv2d(3 * half**2, width, 3, 1, 1))
        self.fine = nn.Sequential(*(PlainBlock(width) for _ in range(config.blocks)))
        self.down = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.coarse = nn.Sequential(*(PlainBlock(2 * width) for _ in range(config.blocks)))
        self.head = nn.Conv2d(2 * width, config.latent_channels, 3, 1, 1)
        if self.linear is not None:
            nn.init.zeros_(self.head.weight)
        self.latent = config.latent

    def forward(self, x: Tensor) -> Tensor:
        x = 2 * x - 1
        h = self.fine(self.stem(x))
        h = self.coarse(self.down(F.relu(h)))
        mu: Tensor = self.head(F.relu(h))
        return _HELD[self.latent](mu if self.linear is None else self.linear(x) + mu)


class Decoder(nn.Module):
    """Latent to image: z (B, latent_channels, h, w) -> (B, 3, s h, s w), with the stride s.

    The output is not clamped: in training a clamp would cut the gradient at 0 and 1. ``Purifier``
    clamps what it returns as a picture.
    """

    def __init__(self, config: PurifierConfig) -> None:
        super().__init__()
        width, half = config.width, config.stride // 2
        self.linear: nn.Sequential | None = None
        if config.linear:
            self.linear = nn.Sequential(
                nn.Conv2d(config.latent_channels, 3 * config.stride**2, 1),
                nn.PixelShuffle(config.stride),
            )
        self.stem = nn.Conv2d(config.latent_channels, 2 * width, 3, 1, 1)
        self.up = nn.PixelShuffle(2)
        self.mix = nn.Conv2d(width // 2, width, 3, 1, 1)
        image = nn.Conv2d(width, 3 * half**2, 3, 1, 1)
        if self.linear is not None:
            nn.init.zeros_(image.weight)
        self.head = nn.Sequential(image, nn.PixelShuffle(half))

    def forward(self, z: Tensor) -> Tensor:
        h = self.up(F.relu(self.stem(z)))
        x: Tensor = self.head(F.relu(self.mix(h)))
        return ((x if self.linear is None else self.linear(z) + x) + 1) / 2


NO_NOISE = -1000.0
"""The rho of a deterministic autoencoder: its softplus is 0 exactly, in float64 too, and unlike
-inf it survives the averaging of weights."""


class LatentNoise(nn.Module):
    """``z = mu + sigma * n`` with ``n ~ N(0, I)`` and ``sigma = softplus(rho)``.

    ``noise`` of the configuration chooses one learned scalar (the paper), one learned value per
    latent channel, or a constant. ``rho`` has the shape () or (C, 1, 1).
    """

    rho: Tensor

    def __init__(self, config: PurifierConfig) -> None:
        super().__init__()
        shape = (config.latent_channels, 1, 1) if config.noise == "per-channel" else ()
        rho = torch.full(shape, math.log(math.expm1(config.sigma)) if config.sigma else NO_NOISE)
        if config.noise == "fixed":
            self.register_buffer("rho", rho)
        else:
            self.rho = nn.Parameter(rho)

    @property
    def sigma(self) -> Tensor:
        """The noise level: () or (C, 1, 1), in the units of the latent."""
        return F.softplus(self.rho)

    def forward(self, mu: Tensor, source: seeding.Source, sigma: float | None = None) -> Tensor:
        """One draw: mu (B, C, h, w) -> z of the same shape.

        ``sigma`` overrides the noise level, for sweeps; 0 gives ``mu``.
        """
        noise = seeding.normal(mu.shape, source).to(mu)
        return mu + (self.sigma if sigma is None else sigma) * noise


@final
@PURIFIERS.register("purifier")
class Purifier(Pretrained, PurifierBase):
    """x (B, 3, H, W) in [0,1] -> a purified x of the same shape, another one for every draw.

    Heights and widths that are not multiples of the stride are padded by replication, and what is
    padded is cropped.
    """

    def __init__(self, config: PurifierConfig | None = None) -> None:
        super().__init__()
        self.config = config or PurifierConfig()
        self.encoder = Encoder(self.config)
        self.noise = LatentNoise(self.config)
        self.decoder = Decoder(self.config)
        if self.encoder.linear is None or self.decoder.linear is None:
            return
        forth, back = self.encoder.linear[1], self.decoder.linear[0]
        assert isinstance(forth, nn.Conv2d)
        assert isinstance(back, nn.Conv2d)
        with torch.no_grad():  # the transposed transform: its inverse, where the latent holds it
            back.weight.copy_(forth.weight.transpose(0, 1)).div_(4)
            nn.init.zeros_(cast(Tensor, back.bias))
            nn.init.zeros_(cast(Tensor, forth.bias))

    @property
    def sigma(self) -> float:
        """The noise level: the scalar, or the mean over channels."""
        return float(self.noise.sigma.detach().mean())

    def encode(self, x: Tensor) -> Tensor:
        """Latent mean: (B, 3, H, W) -> (B, C, ceil(H / s), ceil(W / s)), with the stride s.

        Raises:
            ConfigError: ``x`` is not a non-empty batch of RGB images.
        """
        require_shape(x)
        bottom, right = (-side % self.config.stride for side in x.shape[2:])
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        x = x.contiguous(memory_format=torch.channels_last)
        mu: Tensor = in_own_precision(self.encoder, self.encoder, x)
        return mu

    def decode(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        """Latents (B, C, h, w) -> images (B, 3, *size), cropped, not clamped."""
        image: Tensor = in_own_precision(self.decoder, self.decoder, z)
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

        Raises:
            ConfigError: ``x`` is no batch of images in [0,1].
        """
        if not self.training:
            require_images(x)
        source = seeding.entropy(x.device) if source is None else source
        size = (x.shape[-2], x.shape[-1])
        return self.draw(self.encode(x), source, size, sigma=sigma, stop_gradient=stop_gradient)

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        image: Tensor = self(x, source, stop_gradient=False)
        return image

    def describe(self) -> dict[str, Any]:
        return {"kind": "purifier", "config": to_dict(self.config)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(from_dict(PurifierConfig, description["config"]))


def with_noise(purifier: Purifier, sigma: float) -> Purifier:
    """A copy of ``purifier`` whose noise level is ``sigma`` and no longer learned."""
    other = Purifier(replace(purifier.config, noise="fixed", sigma=sigma))
    for own, given in ((other.encoder, purifier.encoder), (other.decoder, purifier.decoder)):
        own.load_state_dict(given.state_dict())
    return other.train(purifier.training)
