"""The attacker's gradient is not zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from alp.attacks import LOSSES, input_gradient
from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, percent, uncertainty
from alp.evaluation.suites import Suite

if TYPE_CHECKING:
    from alp.defences.base import Defence

BLIND = 0.01
"""Share of images on which the attacker may be blind."""


@CHECKS.register("zero-gradient", order=7)
class ZeroGradient:
    """The averaged gradient of the cross-entropy is zero everywhere for next to no image, neither
    at the image nor at a random start. A stop-gradient makes it zero, and so does confidence:
    where the softmax is exact in float32 the cross-entropy has nothing to tell (Carlini and
    Wagner 2017, section IV)."""

    name = "zero-gradient"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        return True

    def cost(self, suite: Suite) -> tuple[float, float]:
        return 2 * suite.probes.draws, 0

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        start = scene.threat.random_start(x, scene.source(self.name, x.device))
        return {
            f"{key}": self._zeros(scene, point, y)
            for key, point in {"clean": x, "start": start}.items()
        }

    def _zeros(self, scene: Scene, x: Tensor, y: Tensor) -> Tensor:
        """The share of a gradient's entries that are zero, (B,)."""
        target = scene.target(self.name, x.device, "eot", scene.probes.draws)
        gradient, _ = input_gradient(target, x, y, LOSSES["ce"])
        return (gradient == 0).flatten(1).double().mean(1)

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        most = np.maximum(own["clean"], own["start"])
        blind = most == 1
        value, bound = float(blind.mean()), BLIND + uncertainty(blind)
        words = f"the gradient is zero everywhere for {percent(value)} of the images"
        if value > bound:
            words = f"gradient masking suspected: {words}"
        elif most.mean() > value:
            words += f", and {percent(most.mean())} of all its entries are"
        inequality = f"share of images with a zero gradient <= {percent(BLIND)} + tau"
        return Finding(self.name, value <= bound, value, bound, inequality, words)
