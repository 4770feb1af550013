"""Who asks: the attackers of the suite ``queries``. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from alp.attacks import NES, PGD, SPSA, Asking, RayS, Square

ANSWERS = (1, 2, 4, 8)
"""Numbers k of answers that attackers of a random model average at each question."""

TRANSFER = PGD(20)
"""Fools the surrogate, where an attacker starts from what fools another model."""

KNOWLEDGE = {
    "scores": "The attacker sees the logits of the deployed model, averaged over k answers, and "
    "nothing else (black box).",
    "labels": "The attacker sees the class that the deployed model predicts, by the votes of k "
    "answers, and nothing else (black box).",
}
"""What attackers see to one sentence on it."""

Sees = Literal["scores", "labels"]


@dataclass(frozen=True)
class Asker:
    """One attacker."""

    label: str
    """What it does; with ``answers`` a name that no other attacker has."""
    attack: Asking
    """How it asks."""
    sees: Sees = "scores"
    """What it sees of an answer."""
    answers: int = 1
    """Answers that it pays for, and averages, at each question."""
    surrogate: str = ""
    """The other model from whose attacked images it starts."""

    @property
    def name(self) -> str:
        """Such as ``square x4 from public``."""
        start = f" from {self.surrogate}" if self.surrogate else ""
        return f"{self.label.removesuffix(start)} x{self.answers}{start}"

    @property
    def cost(self) -> int:
        """Answers that it pays for an image at most."""
        return self.attack.calls[1] * self.answers


def askers(
    random: bool, answers: Sequence[int], queries: int, surrogates: Sequence[str]
) -> Iterator[Asker]:
    """Every attacker of the suite that ``queries`` answers allow a step, as strong as they allow.

    Square asks a random target about the incumbent again, since a lucky answer would stay the best
    for ever; one that does not is there with single answers, which costs half as much.

    Args:
        random: whether the target is.
        answers: numbers k of answers that are averaged.
        surrogates: names of other models; Square and RayS start from what fools them, too.
    """
    square = Square(rescored=random)
    plans: list[tuple[str, Asking, Sees, Sequence[int], str]] = [
        ("square", square, "scores", answers, ""),
        ("nes", NES(), "scores", answers, ""),
        ("spsa", SPSA(), "scores", answers, ""),
        ("rays", RayS(), "labels", answers, ""),
    ]
    if random:
        plans.insert(1, ("square once", Square(rescored=False), "scores", answers[:1], ""))
    for name in surrogates:
        plans.append((f"square from {name}", square, "scores", answers, name))
        plans.append((f"rays from {name}", RayS(), "labels", answers, name))
    for label, attack, sees, numbers, surrogate in plans:
        for number in numbers:
            fitted = attack.within(queries // number)
            if fitted is not None:
                yield Asker(label, fitted, sees, number, surrogate)
