"""Median smoothing in front of the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp.bench.peers.base import Defence, Peer
from alp.config import check_types, positive

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class MedianSmoothing(Peer):
    """Every pixel becomes the median of a window in its channel (Xu et al. 2018, "Feature
    squeezing": 2x2 on CIFAR-10), with reflection at the border."""

    window: int = 2
    """Side of the window, in pixels."""

    def __post_init__(self) -> None:
        check_types(self)
        positive(self, "window")

    def build(self, classifier: nn.Module, device: torch.device | str = "cpu") -> Defence:
        """See :meth:`Peer.build`."""

        def defended(x: Tensor, source: torch.Generator) -> Tensor:
            logits: Tensor = classifier(median_filter(x, self.window))
            return logits

        return defended


def median_filter(x: Tensor, window: int) -> Tensor:
    """The upper median of each ``window`` x ``window`` neighbourhood, (B,C,H,W) -> the same shape;
    of an even window the pixel is its lower right centre, as in ``scipy.ndimage.median_filter``."""
    from torch.nn import functional as F

    before, after = window // 2, (window - 1) // 2
    padded = F.pad(x, (before, after, before, after), mode="reflect")
    windows = padded.unfold(2, window, 1).unfold(3, window, 1).flatten(4)
    return windows.sort(-1).values[..., window**2 // 2]
