"""What is evaluated, and what its attacker knows.

Evaluation never sees a model class: it sees a :class:`Subject`, the views of a defence that a
user (``predict``) and the attackers (the others) have. A level of knowledge turns a subject into
the target that an attack calls. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from alp.attacks import Target


class Subject(Protocol):
    """A classifier, defended or not. Images are float32 (B,3,H,W) in [0,1], logits (B,K); every
    random view draws from ``source`` alone."""

    @property
    def stochastic(self) -> bool:
        """Whether two draws differ. Of a subject that is not stochastic and whose ``purify``
        changes nothing, every view has to be the bare classifier."""

    def predict(self, x: Tensor, source: Generator) -> Tensor:
        """The deployed prediction: mean logits over all draws."""

    def draw(self, x: Tensor, source: Generator) -> Tensor:
        """Logits of one draw; the gradient flows."""

    def masked(self, x: Tensor, source: Generator) -> Tensor:
        """Logits of one draw with the stop-gradient option on."""

    def bare(self, x: Tensor) -> Tensor:
        """Logits of the classifier without its defence."""

    def purify(self, x: Tensor, source: Generator) -> Tensor:
        """One purified draw, shaped like ``x``; ``x`` itself where there is no purifier."""


def oblivious(subject: Subject, source: Generator) -> Target:
    """The attacker sees the bare classifier and does not know of the purifier (transfer)."""
    return subject.bare


def single(subject: Subject, source: Generator) -> Target:
    """The attacker sees gradients through the whole defence, one fresh draw a step."""
    return lambda x: subject.draw(x, source)


def masked(subject: Subject, source: Generator) -> Target:
    """As `single`, but the defence's stop-gradient hides the gradient from the attacker."""
    return lambda x: subject.masked(x, source)


KNOWLEDGE: dict[str, Callable[[Subject, Generator], Target]] = {
    "oblivious": oblivious,
    "single": single,
    "masked": masked,
}
"""Level of knowledge to the function that makes its target; the generator is the defence's draws
as the attacker sees them, never those that judge."""


def describe(level: str) -> str:
    """One sentence on what the attacker of ``level`` knows, for records and reports."""
    return (KNOWLEDGE[level].__doc__ or "").split("\n\n")[0].strip()
