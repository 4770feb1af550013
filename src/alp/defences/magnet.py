"""MagNet: a deterministic autoencoder in front of the classifier."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, final

from torch import Tensor, nn

from alp import seeding
from alp.config import require_number
from alp.defences.base import DEFENCES
from alp.defences.preprocessed import Preprocessed


@final
@DEFENCES.register("magnet")
class MagNet(Preprocessed):
    """The reformer of MagNet (Meng and Chen 2017) for CIFAR-10: three 3x3 convolutions with
    sigmoids at full resolution (its table of architectures). The detectors are left out, and the
    weights are untrained: its latency does not depend on them."""

    def __init__(self, classifier: nn.Module, channels: int = 3) -> None:
        """``channels``: of the two hidden layers.

        Raises:
            ConfigError: the channels are no whole number above zero.
        """
        super().__init__(classifier)
        require_number("MagNet's number of channels", channels, 1, whole=True)
        self.channels = channels
        layers: list[nn.Module] = []
        with seeding.initialising(0, "magnet"):
            for inputs, outputs in pairwise((3, channels, channels, 3)):
                layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Sigmoid()]
        self.reformer = nn.Sequential(*layers).eval()

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def settings(self) -> dict[str, Any]:
        return {"channels": self.channels}

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        image: Tensor = self.reformer(x)
        return image
