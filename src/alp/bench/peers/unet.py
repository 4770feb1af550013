"""The denoising network of the diffusion peers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from alp import seeding
from alp.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

T = 1000
"""Time steps of the forward process."""


@dataclass(frozen=True)
class UNet:
    """The published CIFAR-10 network of Ho et al. 2020, 35.7M parameters, as the configuration of
    ``google/ddpm-cifar10-32`` gives it: attention at 16x16, two residual blocks a resolution."""

    block_out_channels: tuple[int, ...] = (128, 256, 256, 256)
    """Channels at each resolution, from the finest."""
    down_block_types: tuple[str, ...] = (
        "DownBlock2D",
        "AttnDownBlock2D",
        "DownBlock2D",
        "DownBlock2D",
    )
    """Kind of block at each resolution on the way down."""
    up_block_types: tuple[str, ...] = ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    """Kind of block at each resolution on the way up."""
    layers_per_block: int = 2
    """Residual blocks at each resolution on the way down; one more on the way up."""
    norm_num_groups: int = 32
    """Groups of the group normalisation."""

    def build(self, device: torch.device | str) -> nn.Module:
        """The network with random weights: (x (B,3,H,W) in [-1,1], time step) -> its noise.

        Raises:
            ConfigError: diffusers is not installed.
        """
        try:
            from diffusers import UNet2DModel
        except ImportError as error:
            raise ConfigError(
                "the diffusion peers need diffusers, which is not installed: "
                'pip install "alp[peers]", or choose others with --peers'
            ) from error
        from alp.models.blocks import channels_last

        with seeding.initialising(0, "unet"):
            made: Any = UNet2DModel  # untyped
            network: nn.Module = made(
                sample_size=32,
                downsample_padding=0,
                flip_sin_to_cos=False,
                freq_shift=1,
                norm_eps=1e-6,
                attention_head_dim=None,
                **asdict(self),
            )
        return channels_last(network.to(device)).eval()


def alpha_bar(device: torch.device | str) -> torch.Tensor:
    """Share of the signal's variance after each of the ``T`` steps, (T,), float32, for betas from
    1e-4 to 0.02 (Ho et al. 2020, section 4)."""
    import torch

    return torch.linspace(1e-4, 0.02, T, device=device).neg().add(1).cumprod(0)
