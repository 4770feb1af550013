"""What an attacker knows: a level of knowledge turns a defence into the target of an attack.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from alp.seeding import Common, keyed

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from alp.attacks import Target
    from alp.defences.base import Defence


def oblivious(defence: Defence, source: Generator, draws: int) -> Target:
    """The attacker sees the bare classifier and does not know of the purifier (transfer)."""
    return defence.bare


def single(defence: Defence, source: Generator, draws: int) -> Target:
    """The attacker sees gradients through the whole defence, one fresh draw a step."""
    return lambda x: defence.logits(x, source, 1)


def masked(defence: Defence, source: Generator, draws: int) -> Target:
    """As `single`, but the defence's stop-gradient hides the gradient from the attacker."""
    return lambda x: defence.masked(x, source, 1)


def bpda(defence: Defence, source: Generator, draws: int) -> Target:
    """The attacker replaces the derivative of the purifier by the identity's and averages over
    fresh draws (BPDA; Athalye et al. 2018, section 4.1)."""
    return lambda x: defence.bpda(x, source, draws)


def eot(defence: Defence, source: Generator, draws: int) -> Target:
    """The attacker averages exact gradients over fresh draws, all behind one pass of the encoder
    (EOT; Athalye et al. 2018, section 3.2)."""
    return lambda x: defence.logits(x, source, draws)


def fixed(defence: Defence, source: Generator, draws: int) -> Target:
    """The attacker averages over a bank of known draws, the same at every step and for every
    image (common random numbers): the defence becomes deterministic."""
    import torch

    device = source.device
    key = int(torch.randint(2**62, (), generator=source, device=device))

    def target(x: Tensor) -> Tensor:
        return defence.logits(x, Common(keyed(key, device)), draws)

    return target


def detectors(defence: Defence, source: Generator, draws: int) -> Target:
    """The attacker sees gradients through the whole defence and through its detectors, and has to
    pass both: an attacked image that is rejected counts as right."""
    return lambda x: defence.watched(x, source, draws)


def score(defence: Defence, source: Generator, draws: int) -> Target:
    """The attacker sees no gradient, only answers, averaged over fresh draws (black box)."""
    return lambda x: defence.logits(x, source, draws)


def transfer(defence: Defence, source: Generator, draws: int) -> Target:
    """The attacker attacks another model and hopes that what fools it fools this one too."""
    return lambda x: defence.logits(x, source, draws)


KNOWLEDGE: dict[str, Callable[[Defence, Generator, int], Target]] = {
    "oblivious": oblivious,
    "transfer": transfer,
    "score": score,
    "masked": masked,
    "single": single,
    "detectors": detectors,
    "bpda": bpda,
    "fixed": fixed,
    "eot": eot,
}
"""Level of knowledge to the function that makes its target from a defence, the generator of the
defence's draws as the attacker sees them (never those that judge), and how many a call."""

ATTACK_PRECISIONS = ("float32", "bfloat16")
"""What attackers compute in. bfloat16 takes half the time where the processor multiplies it."""

PAPER = ("oblivious", "single", "masked")
"""The levels of the source paper's protocol: a gradient of one draw at most."""

NEEDS = {"oblivious": "bare", "masked": "masked", "bpda": "bpda", "detectors": "rejects"}
"""Level of knowledge to the view of a defence that it needs."""

BLACK_BOX = frozenset({"oblivious", "transfer", "score"})
"""The levels at which the attacker sees no gradient of the defence."""


def describe(level: str) -> str:
    """One sentence on what the attacker of ``level`` knows, for records and reports."""
    return (KNOWLEDGE[level].__doc__ or "").split("\n\n")[0].strip()
