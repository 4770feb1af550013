"""Which attacks an evaluation runs: suites of entries, each a level of knowledge and an attack.

The opening entries attack every image that is right, so that the accuracies of two levels can be
compared. The closing ones, which cost more, attack only what no earlier entry has broken for good:
they lower the worst case and nothing else. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alp.attacks import APGD, LBFGS, OBJECTIVES, PGD, Attack, Square
from alp.attacks.base import require_count
from alp.attacks.library import (
    FAB,
    FMN,
    AutoAttackStandard,
    Boundary,
    CarliniWagner,
    DeepFool,
    HopSkipJump,
    SquareReference,
    TargetedAPGD,
)
from alp.errors import ConfigError, choose
from alp.evaluation.knowledge import KNOWLEDGE, NEEDS

if TYPE_CHECKING:
    from alp.defences.base import Defence


@dataclass(frozen=True)
class Entry:
    """One attack at one level of knowledge."""

    level: str
    """What the attacker knows: a name of ``KNOWLEDGE``."""
    attack: Attack
    """The attack."""
    draws: int = 1
    """Draws that the attacker averages at each call of the target."""
    objective: str = "loss"
    """What is averaged: a name of ``OBJECTIVES``."""
    surrogate: str = ""
    """The other model that is attacked (transfer)."""

    @property
    def name(self) -> str:
        """A short name that no other entry of a suite has, such as ``eot apgd-100 dlr x20``."""
        method = type(self.attack).__name__.lower()
        effort = getattr(self.attack, "steps", getattr(self.attack, "queries", ""))
        parts = [self.level, f"{method}-{effort}".removesuffix("-")]
        loss = getattr(self.attack, "loss", "ce")
        parts += [loss] * (loss != "ce")
        parts += [f"x{self.draws}"] * (self.draws > 1)
        parts += [self.objective] * (self.objective != "loss") + [self.surrogate] * bool(
            self.surrogate
        )
        return " ".join(parts)


@dataclass(frozen=True)
class Probes:
    """How thoroughly the checks of a suite look."""

    images: int
    """Images that they look at, the first of the data; 0 for no checks."""
    steps: tuple[int, int] = (20, 200)
    """Steps of the short and the long attack, which have to get better in this order."""
    draws: int = 20
    """Draws of the averaged gradient; it has to be as good as one draw's, and point the same way
    when taken again."""


@dataclass(frozen=True)
class Suite:
    """Everything that an evaluation does to a target."""

    name: str
    """Its name."""
    opening: tuple[Entry, ...]
    """Entries that attack every image that is right before."""
    closing: tuple[Entry, ...]
    """Entries that attack what is left, in this order."""
    evaluations: int
    """Predictions by which an entry's image is selected, and again as many, on other draws, by
    which it is judged."""
    probes: Probes
    """The checks."""

    def __post_init__(self) -> None:
        require_count("evaluations", self.evaluations)
        names = [entry.name for entry in self.entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"the suite {self.name!r} has {twice[0]!r} twice; leave one out")
        for entry in self.entries:
            choose(KNOWLEDGE, entry.level, "level of attacker knowledge")
            choose(OBJECTIVES, entry.objective, "objective")
            require_count("draws", entry.draws)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of them, in order."""
        return self.opening + self.closing


def _quick(norm: str) -> Suite:
    """Minutes on two cores for a few hundred images of a small model."""
    return Suite(
        "quick",
        opening=(
            Entry("oblivious", PGD(20)),
            Entry("transfer", PGD(20)),
            Entry("score", Square(30), 4, "logits"),
            Entry("masked", PGD(20)),
            Entry("single", PGD(20)),
            Entry("detectors", APGD(100, loss="evasion")),
            Entry("bpda", PGD(10), 4),
            Entry("fixed", APGD(12, loss="margin"), 10, "logits"),
            Entry("eot", APGD(15), 6),
        ),
        closing=(
            Entry("eot", APGD(15, loss="dlr"), 6, "logits"),
            Entry("eot", PGD(10), 6, "probability"),
        ),
        evaluations=2,
        probes=Probes(images=32, steps=(10, 30), draws=6),
    )


def _unchecked(norm: str) -> Suite:
    """The attacks of ``quick`` without its checks, where these take longer than there is time."""
    return replace(_quick(norm), name="unchecked", probes=Probes(images=0))


def _standard(norm: str) -> Suite:
    """For numbers that are published: 512 images, a night on two cores, minutes on a GPU."""
    return Suite(
        "standard",
        opening=(
            Entry("oblivious", PGD(50)),
            Entry("transfer", PGD(50)),
            Entry("score", Square(100), 4, "logits"),
            Entry("masked", PGD(50)),
            Entry("single", PGD(50)),
            Entry("detectors", APGD(300, loss="evasion")),
            Entry("bpda", PGD(50), 8),
            Entry("fixed", APGD(50, loss="margin"), 20, "logits"),
            Entry("eot", APGD(100), 20),
        ),
        closing=(
            Entry("eot", APGD(100, loss="dlr"), 20, "logits"),
            Entry("eot", PGD(200, restarts=2), 20, "probability"),
            Entry("fixed", TargetedAPGD(steps=50, targets=9), 10, "logits"),
            Entry("fixed", FAB(steps=50, targets=3), 10, "logits"),
            Entry("score", Square(1000), 20, "logits"),
        ),
        evaluations=5,
        probes=Probes(images=128),
    )


def _full(norm: str) -> Suite:
    """For a GPU: every attack there is, the whole test set."""
    euclidean = (
        Entry("fixed", CarliniWagner(), 20, "logits"),
        Entry("fixed", Boundary(), 20, "logits"),
        Entry("fixed", LBFGS(), 20, "logits"),
    )
    suite = _standard(norm)
    return replace(
        suite,
        name="full",
        closing=(
            Entry("eot", APGD(100, loss="dlr", restarts=5), 20, "logits"),
            Entry("eot", APGD(100, loss="margin", restarts=5), 20, "logits"),
            Entry("eot", PGD(200, restarts=5), 20, "probability"),
            Entry("bpda", PGD(200), 20),
            Entry("fixed", TargetedAPGD(steps=100, targets=9), 20, "logits"),
            Entry("fixed", FAB(steps=100, targets=9), 20, "logits"),
            Entry("fixed", FMN(), 20, "logits"),
            Entry("fixed", DeepFool(), 20, "logits"),
            Entry("fixed", HopSkipJump(), 20, "logits"),
            *(euclidean if norm == "l2" else ()),
            Entry("fixed", SquareReference(5000), 20, "logits"),
            Entry("score", Square(5000), 20, "logits"),
        ),
        evaluations=10,
        probes=Probes(images=512),
    )


SUITES = {"unchecked": _unchecked, "quick": _quick, "standard": _standard, "full": _full}
"""Name to the function that makes a suite for the norm of a threat."""

QUERIES = "queries"
"""The suite of attackers who only ask (:mod:`alp.evaluation.queries`)."""

SUITE_NAMES = (*SUITES, QUERIES)
"""What an evaluation may be called by."""


def suite_for(
    name: str | Suite,
    norm: str,
    defence: Defence,
    surrogates: Iterable[str] = (),
    classes: int = 10,
) -> Suite:
    """The suite ``name``, or one of one's own, as far as it makes sense for ``defence``: levels
    whose view it cannot show are left out, transfer is there once a surrogate, and of a defence
    that is not stochastic one draw is all draws, and all levels with gradients are one. One without
    a gradient is asked alone, and for longer. The DLR loss compares three classes, its targeted
    version, which AutoAttack takes too, four: with fewer the margin stands in for the one, and what
    takes the other is left out.

    Raises:
        UnknownNameError: no such suite.
    """
    suite = choose(SUITES, name, "suite")(norm) if isinstance(name, str) else name
    names = tuple(surrogates)
    seen: dict[Entry, None] = {}

    def fit(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
        fitted = dict.fromkeys(
            each
            for entry in entries
            for one in _for_classes(entry, classes)
            for each in _fitted(one, defence, names)
        )
        new = tuple(entry for entry in fitted if entry not in seen)
        seen.update(fitted)
        return new

    opening, closing = fit(suite.opening), fit(suite.closing)
    suite = replace(suite, opening=opening, closing=closing)
    if not defence.differentiable:
        suite = _answers_only(suite)
    if defence.stochastic:
        return suite
    return replace(suite, evaluations=1, probes=replace(suite.probes, draws=1))


_LONGER = 10
"""How many times the queries of a suite its last attack makes on a target without a gradient."""


def _answers_only(suite: Suite) -> Suite:
    """The suite against a target that gives answers alone: attackers who ask, the last of them ten
    times as long, and attackers of other models."""
    opening, closing = (
        tuple(entry for entry in part if entry.level in ("score", "transfer"))
        for part in (suite.opening, suite.closing)
    )
    asking = [entry for entry in opening + closing if isinstance(entry.attack, Square)]
    if asking:
        longest = max(asking, key=lambda entry: entry.attack.calls)
        assert isinstance(longest.attack, Square)
        attack = replace(longest.attack, queries=_LONGER * longest.attack.queries)
        closing = (*closing, replace(longest, attack=attack))
    return replace(suite, opening=opening, closing=closing, probes=replace(suite.probes, images=0))


def _for_classes(entry: Entry, classes: int) -> list[Entry]:
    """What becomes of an entry where there are only so many classes."""
    if isinstance(entry.attack, TargetedAPGD | AutoAttackStandard) and classes < 4:
        return []
    if isinstance(entry.attack, APGD) and entry.attack.loss == "dlr" and classes < 3:
        return [replace(entry, attack=replace(entry.attack, loss="margin"))]
    return [entry]


def _fitted(entry: Entry, defence: Defence, surrogates: tuple[str, ...]) -> list[Entry]:
    """What becomes of an entry: nothing, itself, or one for each surrogate."""
    if entry.level == "transfer":
        return [replace(entry, surrogate=name) for name in surrogates]
    if entry.level in NEEDS and NEEDS[entry.level] not in defence.capabilities:
        return []
    if defence.stochastic:
        return [entry]
    level = "single" if entry.level in ("fixed", "eot") else entry.level
    attack = entry.attack
    return [Entry(level, replace(attack, rescored=False) if isinstance(attack, Square) else attack)]
