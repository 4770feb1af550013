"""The network of the published diffusion purifiers in front of a classifier, to be timed beside the
trained one.

Its weights are random: the published ones are not ours to ship, and its latency does not depend on
them. Nothing but its speed can be measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from alp import seeding
from alp.config import DIFFUSION_STEPS, DiffusionConfig
from alp.defences.base import channels_last
from alp.defences.diffpure import DiffPure, OneStep
from alp.defences.diffusion import Diffusion
from alp.defences.preprocessed import Preprocessed
from alp.errors import ConfigError, install

PUBLISHED = ("published-diffpure", "published-one-step")
"""What is timed with the published network."""


@dataclass(frozen=True)
class PublishedUNet:
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

    def build(self) -> nn.Module:
        """The network with random weights: (x (B,3,H,W) in [-1,1], time step) -> its noise.

        Raises:
            ConfigError: diffusers is not installed.
        """
        try:
            from diffusers import UNet2DModel
        except ImportError as error:
            raise ConfigError(
                "the published diffusion network needs diffusers, which is not installed: "
                f"{install('baselines')}, or choose other baselines with --baselines"
            ) from error
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
        return channels_last(network).eval()


class _Sampled(nn.Module):
    """A network of diffusers as one that answers with a tensor."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        noise: Tensor = self.network(x, times - 1).sample  # which counts from 0
        return noise


def published(
    classifier: nn.Module, name: str, unet: PublishedUNet | None = None, steps: int = 100
) -> Preprocessed:
    """One of ``PUBLISHED``: DiffPure of ``steps`` steps, or one step, with the published network.

    Raises:
        ConfigError: diffusers is not installed.
    """
    # A model trained for every time, whose own small network is replaced.
    diffusion = Diffusion(DiffusionConfig(width=1, horizon=DIFFUSION_STEPS))
    diffusion.network = _Sampled((unet or PublishedUNet()).build())  # type: ignore[assignment]
    diffusion.eval()
    if name == "published-one-step":
        return OneStep(classifier, diffusion)
    return DiffPure(classifier, diffusion, steps, steps, gradient_steps=steps)
