"""The defended model: any classifier behind a purifier, with the logits averaged over draws."""

from __future__ import annotations

from typing import Any, NamedTuple, Self, final

import torch
from torch import Tensor, nn

from alp import seeding
from alp.config import PurifierConfig, from_dict, to_dict
from alp.defences.base import DEFENCES, Defence, classify, counted, straight_through
from alp.defences.heads import describe_head, head_of
from alp.defences.pretrained import Pretrained
from alp.defences.purifier import Purifier
from alp.errors import ConfigError

DRAWS = 20
"""Draws of the deployed prediction (the source paper)."""


class Latent(NamedTuple):
    """What the encoder makes of images."""

    mu: Tensor
    """Latent means (B,C,h,w)."""
    size: tuple[int, int]
    """Height and width of the images, which the decoder crops to."""


@final
@DEFENCES.register("defended")
class Defended(Pretrained, Defence):
    """x (B, 3, H, W) in [0,1] -> logits (B, K): the mean of the classifier's logits over draws.

    The encoder runs once for each image, decoder and classifier once for each draw. Without
    ``source`` the draws are seeded by the operating system.
    """

    capabilities = frozenset({"bare", "purify", "masked", "bpda"})

    def __init__(self, classifier: nn.Module, purifier: Purifier, draws: int = DRAWS) -> None:
        super().__init__()
        self.classifier = classifier
        self.purifier = purifier
        self.draws = counted(draws)
        self._level: float | None = None
        # The mode is that of the parts: a new module is in training mode, trained parts are not.
        self.training = classifier.training or purifier.training

    @property
    def stochastic(self) -> bool:
        level = self.purifier.config.sigma if self._level is None else self._level
        return level != 0

    @property
    def sigma(self) -> float:
        return self.purifier.sigma if self._level is None else self._level

    @property
    def deviation(self) -> Tensor:
        """What the noise is multiplied by: a scalar, or one a channel, (C,1,1)."""
        learned = self.purifier.noise.sigma
        return learned if self._level is None else learned.new_tensor(self._level)

    def at_sigma(self, sigma: float) -> Defended:
        """The same weights at the noise level ``sigma``; without noise one draw is all of them."""
        other = self._twin()
        other._level = sigma
        other.draws = self.draws if sigma else 1
        return other

    def encode(self, x: Tensor) -> Latent:
        """The deterministic half, once per image.

        Raises:
            ConfigError: ``x`` is not a non-empty batch of RGB images.
        """
        return Latent(self.purifier.encode(x), (x.shape[-2], x.shape[-1]))

    def select(self, state: Latent, rows: Tensor) -> Latent:
        return Latent(state.mu[rows], state.size)

    def sample(
        self,
        state: Latent,
        source: seeding.Source,
        draws: int = 1,
        *,
        sigma: float | None = None,
        stop_gradient: bool | None = None,
    ) -> Tensor:
        """The random half: latents of B images -> logits (draws, B, K); ``sigma`` and
        ``stop_gradient`` as in :meth:`Purifier.draw`."""
        mu, size = state
        level = self._level if sigma is None else sigma
        images = self.purifier.draw(
            mu, source, size, draws=draws, sigma=level, stop_gradient=stop_gradient
        )
        logits = classify(self.classifier, images)
        # not len(mu), which fixes the batch of a graph that is exported
        return logits.view(draws, mu.shape[0], logits.shape[-1])

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
        asked = self._asked(x, source, draws)
        return self._mean(*asked, sigma=sigma, stop_gradient=stop_gradient)

    def logits(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        """A stop-gradient in the defence's code does not bind who holds its weights."""
        return self._drawn(x, source, draws, stop_gradient=False)

    def masked(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        return self._drawn(x, source, draws, stop_gradient=True)

    def bpda(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        draws = draws if self.stochastic else 1
        with torch.no_grad():
            mu, size = self.encode(x)
            purified = self.purifier.draw(mu, source, size, draws=draws, sigma=self._level)
        logits = classify(self.classifier, straight_through(purified, x.repeat(draws, 1, 1, 1)))
        return logits.view(draws, len(x), -1)

    def bare(self, x: Tensor) -> Tensor:
        return classify(self.classifier, x)

    def purify(self, x: Tensor, source: seeding.Source) -> Tensor:
        image: Tensor = self.purifier(x, source, sigma=self._level)
        return image

    def parts(self) -> dict[str, nn.Module]:
        return {"classifier": self.classifier, "purifier": self.purifier}

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "defended",
            "purifier": to_dict(self.purifier.config),
            "draws": self.draws,
            **describe_head(self.classifier),
        }

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        purifier = Purifier(from_dict(PurifierConfig, description["purifier"]))
        return cls(head_of(description), purifier, description["draws"])


def defend(classifier: nn.Module, purifier: Purifier, draws: int = DRAWS) -> Defended:
    """Put ``purifier`` in front of ``classifier``, any module from [0,1] images to logits.

    Raises:
        ConfigError: ``classifier`` is no module, ``purifier`` no purifier, or ``draws`` no whole
            number above zero.
    """
    if not isinstance(classifier, nn.Module):
        raise ConfigError(f"the classifier is {classifier!r}; give a torch module")
    if not isinstance(purifier, Purifier):
        raise ConfigError(
            f"the purifier is {purifier!r}; give one such as alp.load('cifar10-lite/purifier')"
        )
    return Defended(classifier, purifier, draws)
