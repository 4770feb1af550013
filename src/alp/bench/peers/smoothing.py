"""Randomised smoothing of the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp import seeding
from alp.bench.peers.base import Defence, Peer
from alp.config import check_types, positive

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

CHUNK = 1000
"""Images that the classifier sees at a time, as in the authors' evaluation."""


@dataclass(frozen=True)
class RandomisedSmoothing(Peer):
    """The most frequent decision under Gaussian noise of the input (Cohen et al. 2019, PREDICT):
    the counts of each class stand for its logits."""

    draws: int = 100
    """Draws of the noise (the authors' prediction takes 100, their certificate 100,000)."""
    sigma: float = 0.25
    """Standard deviation of the noise, on images in [0,1]."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "draws", "sigma")

    def build(self, classifier: nn.Module, device: torch.device | str = "cpu") -> Defence:
        """See :meth:`Peer.build`."""
        import torch

        def defended(x: Tensor, source: torch.Generator) -> Tensor:
            many = x.repeat(self.draws, 1, 1, 1)
            noisy = many + self.sigma * seeding.normal(many.shape, source)
            parts = [classifier(part) for part in torch.split(noisy, CHUNK)]
            logits = torch.cat(parts).view(self.draws, len(x), -1)
            votes = torch.zeros_like(logits).scatter_(2, logits.argmax(2, keepdim=True), 1)
            return votes.sum(0)

        return defended
