"""MagNet: an autoencoder in front of the classifier, and detectors that reject images."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor, nn

from alp import seeding
from alp.config import MOST_CHANNELS, require_number
from alp.defences.base import DEFENCES, classify
from alp.defences.preprocessed import Preprocessed
from alp.errors import ConfigError

TEMPERATURES = (10.0, 40.0)
"""Of the softmax of the two detectors by divergence (the authors' for CIFAR-10)."""

NEVER = 1.0
"""A threshold that no score reaches: the mean error on [0,1] and the divergence are below it."""

CLOSE = 0.98
"""Share of a threshold from which an attacker keeps away from it."""


@final
@DEFENCES.register("magnet")
class MagNet(Preprocessed):
    """The defence of Meng and Chen 2017 ("MagNet: a two-pronged defense against adversarial
    examples") for CIFAR-10: a reformer of three 3x3 convolutions with sigmoids (its table 2), and
    three detectors on it: by the mean absolute error of the reconstruction (section 4.1.1), and by
    the Jensen-Shannon divergence of the classifier's softmax on the image and on its
    reconstruction, at two temperatures (4.1.2).

    An image is rejected where one score is above its threshold. Until ``thresholds`` are chosen
    (training/magnet.py) nothing is.
    """

    capabilities = frozenset({"bare", "purify", "bpda", "rejects"})
    trained = True

    thresholds: Tensor

    def __init__(self, classifier: nn.Module, channels: int = 3, detect: bool = True) -> None:
        """``channels``: of the two hidden layers; ``detect``: whether images are rejected, or the
        reformer stands alone.

        Raises:
            ConfigError: a setting cannot be used.
        """
        super().__init__(classifier)
        if not isinstance(detect, bool):
            raise ConfigError(f"detect of MagNet is {detect!r}; give True or False")
        self.detect = detect
        if not detect:
            self.capabilities -= {"rejects"}
        require_number("MagNet's number of channels", channels, 1, MOST_CHANNELS, whole=True)
        self.channels = channels
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((3, channels, channels, 3)):
            layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Sigmoid()]
        self.reformer = nn.Sequential(*layers).eval()
        self.register_buffer("thresholds", torch.full((1 + len(TEMPERATURES),), NEVER))

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def settings(self) -> dict[str, Any]:
        return {"channels": self.channels, "detect": self.detect}

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        image: Tensor = self.reformer(x)
        return image

    def scores(self, x: Tensor) -> Tensor:
        """What the detectors see of images (B,3,H,W), (B,3): error, divergence at each of
        ``TEMPERATURES``."""
        image = self.reformer(x)
        error = (x - image).abs().flatten(1).mean(1)
        logits = classify(self.classifier, x), classify(self.classifier, image)
        divergences = [
            divergence(*(each / temperature for each in logits)) for temperature in TEMPERATURES
        ]
        return torch.stack([error, *divergences], 1)

    def rejects(self, x: Tensor) -> Tensor:
        if not self.detect:
            raise self._lacks("rejects")
        return (self.scores(x) > self.thresholds).any(1)

    def watched(self, x: Tensor, source: seeding.Source, draws: int) -> Tensor:
        if not self.detect:
            raise self._lacks("rejects")
        excess = (self.scores(x) / (CLOSE * self.thresholds) - 1).clamp_min(0)
        logits = self.logits(x, source, draws)
        return torch.cat([logits, excess.sum(1).expand(len(logits), -1)[..., None]], 2)


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """The Jensen-Shannon divergence of the softmax of logits (B,K) twice, in nats, (B,)."""
    log_one, log_other = one.log_softmax(1), other.log_softmax(1)
    mean = ((log_one.exp() + log_other.exp()) / 2).log()
    parts = [(each.exp() * (each - mean)).sum(1) for each in (log_one, log_other)]
    return (parts[0] + parts[1]) / 2
