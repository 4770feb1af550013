"""The source paper's protocol: one attack at each level of knowledge. Needs no torch to be set up.

Every accuracy, the clean one too, is judged on fresh draws (:mod:`alp.evaluation.verdict`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from alp.attacks import LOSSES, PGD, Attack, Threat, input_gradient
from alp.errors import ConfigError, choose
from alp.evaluation.header import attackers
from alp.evaluation.knowledge import KNOWLEDGE, PAPER
from alp.records import KIND_ROBUSTNESS
from alp.records.statistics import wilson

if TYPE_CHECKING:
    from torch import Tensor

    from alp.evaluation.tasks import Context, Part, Task
    from alp.records import Columns

FEW_IMAGES = 500
"""Below this many images an interval may be wider than 8.8 points."""


@dataclass(frozen=True)
class PaperProtocol:
    """What the paper does to a target.

    The record (kind ``robustness``) has the columns, one row an image: ``index`` (position in the
    data), ``label``, ``clean_correct``, ``clean_prediction``, ``psnr`` (dB) and ``ssim`` of one
    purified draw of the clean image, and for each level ``<level>_correct``,
    ``<level>_prediction``, ``<level>_distance`` (the threat's norm of the change) and
    ``<level>_zero_gradient`` (whether the attacker's first gradient is zero everywhere). A
    prediction of -1 stands for logits that are not finite.
    """

    attack: Attack = field(default_factory=PGD)
    """The attack."""
    knowledge: tuple[str, ...] = PAPER
    """What the attacker knows: one column each."""

    kind: ClassVar[str] = KIND_ROBUSTNESS

    def __post_init__(self) -> None:
        object.__setattr__(self, "knowledge", tuple(self.knowledge))
        for level in self.knowledge:
            choose(dict.fromkeys(PAPER), level, "level of attacker knowledge")
        if not self.knowledge or len(set(self.knowledge)) < len(self.knowledge):
            raise ConfigError(
                f"attacker knowledge is {list(self.knowledge)}; give one level or more, each once"
            )

    def fitted(self, context: Context, norm: str, classes: int) -> PaperProtocol:
        """Itself: it is the same for every target."""
        return self

    @property
    def averaged(self) -> int:
        """Draws that an attacker averages at a call."""
        return 1

    def tasks(self, context: Context) -> Sequence[Task]:
        """One task, which sees all levels of a batch."""
        return [ProtocolTask(context, self)]

    def own(
        self, threat: Threat, surrogates: Sequence[str], attack_precision: str
    ) -> dict[str, Any]:
        """The keys of the record's header that are its own."""
        return attackers(self.attack, threat, self.knowledge)

    def conclude(self, tasks: Sequence[Task], columns: Columns) -> dict[str, Any]:
        """What the header says of the finished columns."""
        return {"warnings": warnings(columns, self.knowledge)}


@dataclass(frozen=True)
class ProtocolTask:
    """Clean and attacked images of a batch, judged."""

    context: Context
    protocol: PaperProtocol
    name: str = "attack"
    images: int = 2**62
    after: int = 0

    @property
    def cost(self) -> tuple[float, float]:
        levels = len(self.protocol.knowledge)
        gradients, scores = self.protocol.attack.calls
        draws = (1 + levels) * self.context.defence.draws
        return levels * (gradients + 1), levels * scores + draws

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        import torch

        from alp.evaluation.tasks import as_columns, quality
        from alp.evaluation.verdict import judge

        defence, seed = self.context.defence, self.context.seed
        prediction = judge(defence, x, seed, "clean", batch)
        purified = self.context.purified(x, batch)
        columns: dict[str, Tensor] = {
            "clean_correct": prediction == y,
            "clean_prediction": prediction,
            **quality(x, purified),
        }
        # All levels see the same function, so that the first one's attack is everyone's.
        undefended = not defence.stochastic and torch.equal(purified, x)
        results: dict[str, Tensor] = {}
        for level in self.protocol.knowledge:
            if not results or not undefended:
                results = self._attacked(level, x, y, batch)
            columns |= {f"{level}_{name}": values for name, values in results.items()}
        return as_columns(columns)

    def _attacked(self, level: str, x: Tensor, y: Tensor, batch: int) -> dict[str, Tensor]:
        """The results of one level: correct, prediction, distance, zero_gradient."""
        from alp import seeding
        from alp.evaluation.tasks import generate
        from alp.evaluation.verdict import judge

        defence, seed = self.context.defence, self.context.seed
        source = seeding.generator(seed, f"probe/{level}", batch, device=x.device)
        gradient, _ = input_gradient(KNOWLEDGE[level](defence, source, 1), x, y, LOSSES["ce"])
        attack, threat = self.protocol.attack, self.context.threat
        x_adv = generate(defence, level, x, y, threat, attack, seed=seed, batch=batch)
        prediction = judge(defence, x_adv, seed, level, batch)
        return {
            "correct": prediction == y,
            "prediction": prediction,
            "distance": threat.distance(x_adv, x),
            "zero_gradient": (gradient == 0).flatten(1).all(1),
        }


def warnings(columns: Columns, levels: Sequence[str]) -> list[str]:
    """What weakens a result, found in the result itself, as sentences."""
    from alp.evaluation.verdict import NOT_A_CLASS

    images = len(columns["label"])
    found = []
    if images < FEW_IMAGES:
        low, high = wilson(images / 2, images)
        found.append(
            f"{images} images < {FEW_IMAGES}: the interval is wide, up to "
            f"{100 * (high - low):.1f} points"
        )
    for level in levels:
        blind = int(columns[f"{level}_zero_gradient"].sum())
        if blind:
            found.append(
                f"the gradient seen by `{level}` is zero for {100 * blind / images:.1f} % of the "
                "images: there the attack is blind, and its failure shows no robustness"
            )
    for point in ("clean", *levels):
        broken = int((columns[f"{point}_prediction"] == NOT_A_CLASS).sum())
        if broken:
            found.append(
                f"{broken} predictions on {point} images are not finite; they count as wrong"
            )
    return found
