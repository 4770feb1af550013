"""Who sees the gradient does at least as well as who does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from alp.evaluation.checks.base import CHECKS, Columns, Finding, Scene, excess, percent, points
from alp.evaluation.knowledge import BLACK_BOX
from alp.evaluation.suites import Suite
from alp.records import worst

if TYPE_CHECKING:
    from alp.defences.base import Defence

SLACK = 0.005
"""What a black box may break besides: as much as one more restart of a white box does."""


@CHECKS.register("black-box", order=3)
class BlackBox:
    """The black boxes of the suite break next to nothing that its white boxes leave: a gradient
    that tells less than answers do is masked (Athalye et al. 2018, section 3.1)."""

    name = "black-box"

    def applies(self, suite: Suite, defence: Defence) -> bool:
        black = [entry.level in BLACK_BOX for entry in suite.entries]
        return any(black) and not all(black)

    def cost(self, suite: Suite) -> tuple[float, float]:
        return 0, 0

    def measure(self, scene: Scene, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {}

    def conclude(self, own: Columns, record: Columns, suite: Suite) -> Finding:
        every = [entry.name for entry in suite.entries]
        white = [entry.name for entry in suite.entries if entry.level not in BLACK_BOX]
        without, together = (worst(record, each, suite.evaluations) for each in (white, every))
        value, tau = excess(without, together)
        bound = SLACK + tau
        if value <= bound:
            words = (
                f"the white boxes leave {percent(without.mean())}, and the black boxes besides "
                f"them {percent(together.mean())}"
            )
        else:
            words = f"gradient masking suspected: black box beats white box by {points(value)}"
        inequality = "accuracy(white boxes) - accuracy(all) <= 0.5 points + tau"
        return Finding(self.name, value <= bound, value, bound, inequality, words)
