"""Purification by diffusion: many reverse steps (DiffPure), or one.

The network is the published architecture with random weights: its latency does not depend on them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from alp import seeding
from alp.config import require_number
from alp.defences.base import DEFENCES, Preprocessed, channels_last
from alp.errors import ConfigError

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
                "purification by diffusion needs diffusers, which is not installed: "
                'pip install "alp[baselines]", or choose other baselines with --baselines'
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
        return channels_last(network.to(device)).eval()


def alpha_bar(device: torch.device | str) -> Tensor:
    """Share of the signal's variance after each of the ``T`` steps, (T,), float32, for betas from
    1e-4 to 0.02 (Ho et al. 2020, section 4)."""
    return torch.linspace(1e-4, 0.02, T, device=device).neg().add(1).cumprod(0)


class Diffusion(Preprocessed):
    """What diffusion purifiers share: the image is noised up to a time step, then denoised."""

    def __init__(self, classifier: nn.Module, steps: int, unet: UNet | None) -> None:
        super().__init__(classifier)
        require_number(f"the time step of {type(self).__name__}", steps, 1, T, whole=True)
        self.steps = steps
        self.unet = unet or UNet()
        self.network = self.unet.build("cpu")
        self.register_buffer("signal", alpha_bar("cpu"), persistent=False)

    signal: Tensor

    @property
    def settings(self) -> dict[str, Any]:
        return {"steps": self.steps, "unet": asdict(self.unet)}

    def noised(self, x: Tensor, source: seeding.Source) -> Tensor:
        """Images in [0,1] -> the diffusion's variable at the time step, of images in [-1,1]."""
        at = self.signal[self.steps - 1]
        noise = seeding.normal(x.shape, source).to(x)
        noisy: Tensor = at.sqrt() * (2 * x - 1) + (1 - at).sqrt() * noise
        return noisy


@final
@DEFENCES.register("diffpure")
class DiffPure(Diffusion):
    """Noise the image up to a time step, then denoise it step by step (Nie et al. 2022, "Diffusion
    models for adversarial purification"; CIFAR-10: t* = 0.1, which is step 100 of 1000), by the
    ancestral sampler of Ho et al. 2020, algorithm 2."""

    def __init__(self, classifier: nn.Module, steps: int = 100, unet: UNet | None = None) -> None:
        """``steps``: forward time step, and number of reverse steps.

        Raises:
            ConfigError: ``steps`` is out of range, or diffusers is not installed.
        """
        super().__init__(classifier, steps, unet)

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        z = self.noised(x, source)
        for step in reversed(range(self.steps)):
            z = _reverse(self.network, z, step, self.signal, source)
        return ((z + 1) / 2).clamp(0, 1)


def _reverse(
    network: nn.Module, z: Tensor, step: int, signal: Tensor, source: seeding.Source
) -> Tensor:
    """z at time ``step`` + 1 -> z at time ``step``, both (B,3,H,W)."""
    before = signal[step - 1] if step else signal.new_ones(())
    alpha = signal[step] / before
    predicted = network(z, step).sample
    mean: Tensor = (z - (1 - alpha) / (1 - signal[step]).sqrt() * predicted) / alpha.sqrt()
    if step == 0:
        return mean
    variance = (1 - before) / (1 - signal[step]) * (1 - alpha)
    noisy: Tensor = mean + variance.sqrt() * seeding.normal(z.shape, source).to(z)
    return noisy


@final
@DEFENCES.register("one-step")
class OneStep(Diffusion):
    """Noise the image up to a time step, then predict the clean image in one step (Carlini et al.
    2023, "(Certified!!) adversarial robustness for free!", algorithm 1, with one vote)."""

    def __init__(self, classifier: nn.Module, steps: int = 100, unet: UNet | None = None) -> None:
        """``steps``: forward time step.

        Raises:
            ConfigError: ``steps`` is out of range, or diffusers is not installed.
        """
        super().__init__(classifier, steps, unet)

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        z, at = self.noised(x, source), self.signal[self.steps - 1]
        clean = (z - (1 - at).sqrt() * self.network(z, self.steps - 1).sample) / at.sqrt()
        image: Tensor = ((clean + 1) / 2).clamp(0, 1)
        return image
