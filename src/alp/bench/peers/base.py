"""What a peer is: another defence in front of the same classifier, to be timed beside ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Defence: TypeAlias = "Callable[[Tensor, torch.Generator], Tensor]"
"""Images (B,3,H,W) in [0,1] and a generator on their device -> logits (B,K)."""


@dataclass(frozen=True)
class Peer(ABC):
    """A frozen dataclass of settings that builds a defence."""

    @abstractmethod
    def build(self, classifier: nn.Module, device: torch.device | str = "cpu") -> Defence:
        """The defence in front of ``classifier``, which is on ``device``; networks of its own
        have random weights, on which its latency does not depend.

        Raises:
            ConfigError: a library is missing, or a setting fits no image.
        """
