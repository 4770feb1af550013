"""Purification by one step of a diffusion model."""

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
class OneStep(Peer):
    """Noise the image up to a time step, then predict the clean image in one step (Carlini et al.
    2023, "(Certified!!) adversarial robustness for free!", algorithm 1, with one vote)."""

    step: int = 100
    """Forward time step."""
    unet: UNet = field(default_factory=UNet)
    """The network."""

    def __post_init__(self) -> None:
        check_types(self)
        if not 1 <= self.step <= T:
            raise ConfigError(f"OneStep.step is {self.step}; give 1 to {T}")

    def build(self, classifier: nn.Module, device: torch.device | str = "cpu") -> Defence:
        """See :meth:`Peer.build`."""
        network = self.unet.build(device)
        at = alpha_bar(device)[self.step - 1]

        def defended(x: Tensor, source: torch.Generator) -> Tensor:
            z = at.sqrt() * (2 * x - 1) + (1 - at).sqrt() * seeding.normal(x.shape, source)
            clean = (z - (1 - at).sqrt() * network(z, self.step - 1).sample) / at.sqrt()
            logits: Tensor = classifier(((clean + 1) / 2).clamp(0, 1))
            return logits

        return defended
