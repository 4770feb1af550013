"""How a target is evaluated: one frozen object from the command line to the record.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from alp.attacks import Linf, Threat
from alp.attacks.base import require_count
from alp.config import whole
from alp.errors import ConfigError, choose
from alp.evaluation.grid import Grid
from alp.evaluation.knowledge import ATTACK_PRECISIONS
from alp.evaluation.protocol import PaperProtocol
from alp.evaluation.queries import BUDGET, Queries
from alp.evaluation.suites import QUERIES, SUITE_NAMES, Suite

OUTPUTS = ("logits", "probabilities")


@dataclass(frozen=True)
class EvalConfig:
    """What makes two evaluations comparable, beside their target and their images."""

    suite: str | Suite | Queries | PaperProtocol | Grid = "quick"
    """What is done: the name of a suite, a suite of one's own, the paper's protocol, or a grid."""
    threat: Threat = field(default_factory=Linf)
    """What the attacker may change."""
    draws: int | None = None
    """Answers that the deployed prediction averages; by default as the target says."""
    queries: int | None = None
    """Answers of the model that an attacker of the suite ``queries`` may pay for an image; by
    default 1,000."""
    attack_precision: str = "float32"
    """What attackers compute in. bfloat16 takes half the time where the processor multiplies it;
    what is judged is never rounded."""
    outputs: str = "logits"
    """What the target answers: logits, or probabilities, whose logarithm is attacked."""
    surrogate: str = ""
    """The gradient that the target declares in place of the exact one, in words, such as ``the
    identity in place of JPEG's``: it is checked as a surrogate, and not as the slope."""
    seed: int = 0
    """Seed of all attacks and draws."""
    batch_size: int = 64
    """Images that are attacked at a time. Part of the protocol: the draws of an image depend on
    the batch that it is in."""
    device: str = "cpu"
    """Where the target is."""

    def __post_init__(self) -> None:
        if isinstance(self.suite, str):
            choose(dict.fromkeys(SUITE_NAMES), self.suite, "suite")
        if self.queries is not None:
            require_count("queries", self.queries)
            if self.suite != QUERIES:
                own = getattr(self.suite, "name", type(self.suite).__name__)
                told = self.suite if isinstance(self.suite, str) else own
                raise ConfigError(
                    f"queries is {self.queries}, a number for the suite {QUERIES!r}, and the suite "
                    f"is {told!r}; give suite={QUERIES!r} (--suite {QUERIES}) or leave queries out"
                )
        choose(dict.fromkeys(ATTACK_PRECISIONS), self.attack_precision, "attack precision")
        choose(dict.fromkeys(OUTPUTS), self.outputs, "kind of output")
        if not hasattr(self.threat, "project"):
            raise ConfigError(f"the threat is {self.threat!r}; give one such as alp.Linf(8 / 255)")
        if not isinstance(self.surrogate, str):
            raise ConfigError(f"the surrogate is {self.surrogate!r}; say in words what it is")
        require_count("batch_size", self.batch_size)
        whole(self, "seed")

    @classmethod
    def of(cls, settings: object, **changes: Any) -> Self:
        """The configuration of a command's settings: fields of the same names, and ``changes``."""
        own = {
            each.name: getattr(settings, each.name)
            for each in fields(cls)
            if hasattr(settings, each.name)
        }
        return cls(**own | changes)

    @property
    def plan(self) -> Suite | Queries | PaperProtocol | Grid | str:
        """What is done, with the budget of questions."""
        return Queries(self.queries or BUDGET) if self.suite == QUERIES else self.suite

    @property
    def norm(self) -> str:
        """The name of the threat's norm."""
        return type(self.threat).__name__.lower()

    def where(self) -> Mapping[str, Any]:
        """What every header says of it."""
        where = {"seed": self.seed, "batch_size": self.batch_size, "device": self.device}
        declared = {} if self.outputs == "logits" else {"outputs": self.outputs}
        return where | declared | ({"surrogate": self.surrogate} if self.surrogate else {})
