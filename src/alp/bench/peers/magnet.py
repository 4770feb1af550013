"""A deterministic autoencoder in front of the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from alp import seeding
from alp.bench.peers.base import Defence, Peer
from alp.config import check_types, positive

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class MagNet(Peer):
    """The reformer of MagNet (Meng and Chen 2017) for CIFAR-10: three 3x3 convolutions with
    sigmoids at full resolution (its table of architectures); the detectors are left out."""

    channels: int = 3
    """Channels of the two hidden layers."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "channels")

    def build(self, classifier: nn.Module, device: torch.device | str = "cpu") -> Defence:
        """See :meth:`Peer.build`."""
        from torch import nn

        widths = (3, self.channels, self.channels, 3)
        layers: list[nn.Module] = []
        with seeding.initialising(0, "magnet"):
            for inputs, outputs in pairwise(widths):
                layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Sigmoid()]
        reformer = nn.Sequential(*layers).to(device).eval()

        def defended(x: Tensor, source: torch.Generator) -> Tensor:
            logits: Tensor = classifier(reformer(x))
            return logits

        return defended
