"""Purification by many steps of a diffusion model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alp import seeding
from alp.bench.peers.base import Defence, Peer
from alp.bench.peers.unet import T, UNet, alpha_bar
from alp.config import check_types
from alp.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class DiffPure(Peer):
    """Noise the image up to a time step, then denoise it step by step (Nie et al. 2022, "Diffusion
    models for adversarial purification"; CIFAR-10: t* = 0.1, which is step 100 of 1000), by the
    ancestral sampler of Ho et al. 2020, algorithm 2."""

    steps: int = 100
    """Forward time step, and number of reverse steps."""
    unet: UNet = field(default_factory=UNet)
    """The network."""

    def __post_init__(self) -> None:
        check_types(self)
        if not 1 <= self.steps <= T:
            raise ConfigError(f"DiffPure.steps is {self.steps}; give 1 to {T}")

    def build(self, classifier: nn.Module, device: torch.device | str = "cpu") -> Defence:
        """See :meth:`Peer.build`."""
        network = self.unet.build(device)
        signal = alpha_bar(device)

        def defended(x: Tensor, source: torch.Generator) -> Tensor:
            at = signal[self.steps - 1]
            z = at.sqrt() * (2 * x - 1) + (1 - at).sqrt() * seeding.normal(x.shape, source)
            for step in reversed(range(self.steps)):
                z = _reverse(network, z, step, signal, source)
            logits: Tensor = classifier(((z + 1) / 2).clamp(0, 1))
            return logits

        return defended


def _reverse(
    network: nn.Module, z: Tensor, step: int, signal: Tensor, source: torch.Generator
) -> Tensor:
    """z at time ``step`` + 1 -> z at time ``step``, both (B,3,H,W)."""
    before = signal[step - 1] if step else signal.new_ones(())
    alpha = signal[step] / before
    predicted = network(z, step).sample
    mean: Tensor = (z - (1 - alpha) / (1 - signal[step]).sqrt() * predicted) / alpha.sqrt()
    if step == 0:
        return mean
    variance = (1 - before) / (1 - signal[step]) * (1 - alpha)
    noisy: Tensor = mean + variance.sqrt() * seeding.normal(z.shape, source)
    return noisy
