"""The defended model: any classifier behind a purifier, with the logits averaged over draws."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alp import seeding
from alp.errors import ConfigError
from alp.models.pretrained import Pretrained
from alp.models.purifier import Purifier

DRAWS = 20
"""Draws of the deployed prediction (the source paper)."""

GROUP = 64
"""Images that the decoder and the classifier see at a time where the batch is smaller."""


class Defended(Pretrained, nn.Module):
    """x (B, 3, H, W) in [0,1] -> logits (B, K): the mean of the classifier's logits over draws.

    The encoder runs once for each image, decoder and classifier once for each draw. Without
    ``source`` the draws are seeded by the operating system.
    """

    def __init__(self, classifier: nn.Module, purifier: Purifier, draws: int = DRAWS) -> None:
        super().__init__()
        self.classifier = classifier
        self.purifier = purifier
        self.draws = counted(draws)

    def encode(self, x: Tensor) -> Tensor:
        """The deterministic half, once per image: x -> latent mean (B, C, h, w)."""
        return self.purifier.encode(x)

    def decode_classify(
        self,
        mu: Tensor,
        source: seeding.Source,
        size: tuple[int, int],
        *,
        draws: int = 1,
        sigma: float | None = None,
        stop_gradient: bool | None = None,
    ) -> Tensor:
        """The random half: latent mean of B images of ``size`` -> logits (draws, B, K)."""
        images = self.purifier.draw(
            mu, source, size, draws=draws, sigma=sigma, stop_gradient=stop_gradient
        )
        logits: Tensor = self.classifier(images)
        return logits.view(draws, len(mu), logits.shape[-1])

    def forward(
        self,
        x: Tensor,
        source: seeding.Source | None = None,
        *,
        draws: int | None = None,
        sigma: float | None = None,
        stop_gradient: bool | None = None,
    ) -> Tensor:
        """Mean logits over ``draws`` (as constructed, unless given).

        Raises:
            ConfigError: ``x`` is not a batch of RGB images, or ``draws`` no number of draws.
        """
        source = seeding.entropy(x.device) if source is None else source
        size = (x.shape[-2], x.shape[-1])
        mu = self.encode(x)
        left = self.draws if draws is None else counted(draws)
        parts = []
        while left > 0:
            # Small batches take several draws at a time: one image fills no machine.
            now = min(left, max(1, GROUP // len(x)))
            parts.append(
                self.decode_classify(
                    mu, source, size, draws=now, sigma=sigma, stop_gradient=stop_gradient
                )
            )
            left -= now
        return torch.cat(parts).mean(0)


def counted(draws: int) -> int:
    """``draws``, if it is a number of draws.

    Raises:
        ConfigError: it is no whole number above zero.
    """
    if not isinstance(draws, int) or isinstance(draws, bool) or draws < 1:
        raise ConfigError(f"draws is {draws!r}; give a whole number above zero")
    return draws


def defend(classifier: nn.Module, purifier: Purifier, draws: int = DRAWS) -> Defended:
    """Put ``purifier`` in front of ``classifier``, any module from [0,1] images to logits.

    Raises:
        ConfigError: ``draws`` is no whole number above zero.
    """
    return Defended(classifier, purifier, draws)
