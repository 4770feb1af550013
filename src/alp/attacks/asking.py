"""Attacks that only ask: every call of the target is one question about each image of the batch.

They say after each step which points they hold, so that whoever counts the questions knows what the
attacker would hand in after any number of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from alp.attacks.base import Source, Target, Threat

if TYPE_CHECKING:
    from torch import Tensor


class Asking(ABC):
    """An attack without gradients. A subclass is a frozen dataclass of settings."""

    @property
    @abstractmethod
    def calls(self) -> tuple[int, int]:
        """No gradient, and the questions about an image."""

    @abstractmethod
    def search(
        self,
        target: Target,
        x: Tensor,
        y: Tensor,
        threat: Threat,
        source: Source,
        start: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """The points (B,3,H,W) that are held: before the first question, and after every step.

        Args:
            start: points of the threat's ball to start from, (B,3,H,W), such as those that fool
                another model; by default the attack's own.

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used.
        """

    @abstractmethod
    def within(self, questions: int) -> Self | None:
        """The same attack with as many steps as ``questions`` about an image allow; None where
        they allow none."""

    def __call__(
        self, target: Target, x: Tensor, y: Tensor, threat: Threat, source: Source
    ) -> Tensor:
        """The points that are held after all questions, like ``x``, (B,3,H,W) in [0,1].

        Raises:
            ConfigError: the images, labels or the target's logits cannot be used.
        """
        held = x
        for point in self.search(target, x, y, threat, source):
            held = point
        return held
