"""What is evaluated, and what its attacker knows.

Evaluation never sees a model class: it sees a :class:`Subject`, the views of a defence that a
user (``predict``) and the attackers (the others) have. A level of knowledge turns a subject into
the target that an attack calls. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from alp.seeding import Common, Source

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from alp.attacks import Target


class Subject(Protocol):
    """A classifier, defended or not. Images are float (B,3,H,W) in [0,1], logits (B,K) or, of
    ``draws`` draws, (draws,B,K); every random view draws from ``source`` alone."""

    @property
    def stochastic(self) -> bool:
        """Whether two draws differ. Of a subject that is not stochastic and whose ``purify``
        changes nothing, every view has to be the bare classifier."""

    @property
    def draws(self) -> int:
        """Draws of the deployed prediction."""

    @property
    def views(self) -> frozenset[str]:
        """Which of ``masked``, ``bpda``, ``bare`` and ``purify`` it can show; the others raise."""

    def predict(self, x: Tensor, source: Source) -> Tensor:
        """The deployed prediction: mean logits over all draws, (B,K)."""

    def sample(self, x: Tensor, source: Source, draws: int) -> Tensor:
        """Logits of each of ``draws`` draws; the gradient flows. One that is not stochastic may
        answer with a single one."""

    def masked(self, x: Tensor, source: Source, draws: int) -> Tensor:
        """As ``sample``, with the stop-gradient option on."""

    def bpda(self, x: Tensor, source: Source, draws: int) -> Tensor:
        """As ``sample``, with the derivative of the identity in place of the purifier's."""

    def bare(self, x: Tensor) -> Tensor:
        """Logits of the classifier without its defence, (B,K)."""

    def purify(self, x: Tensor, source: Source) -> Tensor:
        """One purified draw, shaped like ``x``; ``x`` itself where there is no purifier."""


def oblivious(subject: Subject, source: Generator, draws: int) -> Target:
    """The attacker sees the bare classifier and does not know of the purifier (transfer)."""
    return subject.bare


def single(subject: Subject, source: Generator, draws: int) -> Target:
    """The attacker sees gradients through the whole defence, one fresh draw a step."""
    return lambda x: subject.sample(x, source, 1)


def masked(subject: Subject, source: Generator, draws: int) -> Target:
    """As `single`, but the defence's stop-gradient hides the gradient from the attacker."""
    return lambda x: subject.masked(x, source, 1)


def bpda(subject: Subject, source: Generator, draws: int) -> Target:
    """The attacker replaces the derivative of the purifier by the identity's and averages over
    fresh draws (BPDA; Athalye et al. 2018, section 4.1)."""
    return lambda x: subject.bpda(x, source, draws)


def eot(subject: Subject, source: Generator, draws: int) -> Target:
    """The attacker averages exact gradients over fresh draws, all behind one pass of the encoder
    (EOT; Athalye et al. 2018, section 3.2)."""
    return lambda x: subject.sample(x, source, draws)


def fixed(subject: Subject, source: Generator, draws: int) -> Target:
    """The attacker averages over a bank of known draws, the same at every step and for every
    image (common random numbers): the defence becomes deterministic."""
    import torch

    device = source.device
    key = int(torch.randint(2**62, (), generator=source, device=device))

    def target(x: Tensor) -> Tensor:
        return subject.sample(x, Common(torch.Generator(device).manual_seed(key)), draws)

    return target


def score(subject: Subject, source: Generator, draws: int) -> Target:
    """The attacker sees no gradient, only answers, averaged over fresh draws (black box)."""
    return lambda x: subject.sample(x, source, draws)


def transfer(subject: Subject, source: Generator, draws: int) -> Target:
    """The attacker attacks another model and hopes; the target is that model's subject."""
    return lambda x: subject.sample(x, source, draws)


KNOWLEDGE: dict[str, Callable[[Subject, Generator, int], Target]] = {
    "oblivious": oblivious,
    "transfer": transfer,
    "score": score,
    "masked": masked,
    "single": single,
    "bpda": bpda,
    "fixed": fixed,
    "eot": eot,
}
"""Level of knowledge to the function that makes its target from a subject, the generator of the
defence's draws as the attacker sees them (never those that judge), and how many a call."""

PAPER = ("oblivious", "single", "masked")
"""The levels of the source paper's protocol: a gradient of one draw at most."""

NEEDS = {"oblivious": "bare", "masked": "masked", "bpda": "bpda"}
"""Level of knowledge to the view of a subject that it needs."""

BLACK_BOX = frozenset({"oblivious", "transfer", "score"})
"""The levels at which the attacker sees no gradient of the defence."""


def describe(level: str) -> str:
    """One sentence on what the attacker of ``level`` knows, for records and reports."""
    return (KNOWLEDGE[level].__doc__ or "").split("\n\n")[0].strip()
