"""The suite of attackers who only ask: accuracy over the number of questions. Needs no torch to be
set up.

A query is one answer of the deployed model to one image, with noise of its own as deployed. An
attacker that averages k answers pays k of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from alp.attacks import Threat
from alp.attacks.base import require_count
from alp.errors import ConfigError
from alp.evaluation.askers import ANSWERS, KNOWLEDGE, TRANSFER, Asker, askers
from alp.evaluation.header import attack_settings
from alp.evaluation.suites import QUERIES
from alp.records import KIND_QUERIES

if TYPE_CHECKING:
    from alp.evaluation.tasks import Context, Task
    from alp.records import Columns

BUDGET = 1000
"""Answers that an attacker may pay for an image where nobody says a number."""

CHECKPOINTS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
"""Numbers of answers at which what an attacker holds is judged, as far as the budget goes."""

EVALUATIONS = 5
"""Predictions by which a point is selected, and again as many, on other draws, by which it is
judged; one of each where the model is not random."""


@dataclass(frozen=True)
class Queries:
    """What the suite does to a target. The record is of the kind ``queries``
    (:mod:`alp.records.queries`)."""

    queries: int = BUDGET
    """The budget: answers that an attacker may pay for an image."""
    answers: tuple[int, ...] = ANSWERS
    """Numbers k of answers that attackers average; of a target that is not random, 1 alone."""
    evaluations: int = EVALUATIONS
    """Predictions that select, and that judge."""
    attackers: tuple[Asker, ...] = ()
    """The attackers; by default all that are apt for the target."""

    kind: ClassVar[str] = KIND_QUERIES
    name: ClassVar[str] = QUERIES
    averaged: ClassVar[int] = 0

    def __post_init__(self) -> None:
        require_count("queries", self.queries)
        require_count("evaluations", self.evaluations)
        for number in self.answers:
            require_count("answers", number)
        if not self.answers or len(set(self.answers)) < len(self.answers):
            raise ConfigError(
                f"answers are {list(self.answers)}; give one number or more, each once, such as "
                f"{list(ANSWERS)}"
            )
        names = [each.name for each in self.attackers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"the suite has the attacker {twice[0]!r} twice; leave one out")
        for each in self.attackers:
            if each.cost > self.queries:
                raise ConfigError(
                    f"the attacker {each.name!r} pays {each.cost} answers, and the budget is "
                    f"{self.queries} queries; give it fewer steps (within) or raise the budget"
                )

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Numbers of answers at which points are judged: 0, the grid, and the budget."""
        return (0, *(mark for mark in CHECKPOINTS if mark < self.queries), self.queries)

    def fitted(self, context: Context, norm: str, classes: int) -> Queries:
        """With the attackers that are apt for the target, each within the budget.

        Raises:
            ConfigError: an attacker starts from a surrogate that is not there.
        """
        for each in self.attackers:
            if each.surrogate and each.surrogate not in context.surrogates:
                given = ", ".join(context.surrogates) or "none"
                raise ConfigError(
                    f"the attacker {each.name!r} starts from {each.surrogate!r}; give it in "
                    f"surrogates (there: {given})"
                )
        random = context.defence.stochastic
        fitted = self if random else replace(self, answers=(1,), evaluations=1)
        if self.attackers:
            return fitted
        found = askers(random, fitted.answers, self.queries, tuple(context.surrogates))
        return replace(fitted, attackers=tuple(found))

    def tasks(self, context: Context) -> Sequence[Task]:
        """The clean images, and a task an attacker."""
        from alp.evaluation.adaptive import CleanTask
        from alp.evaluation.asking import AskingTask

        asking = [
            AskingTask(context, each, self.checkpoints, self.evaluations) for each in self.attackers
        ]
        return [CleanTask(context, self), *asking]

    def own(
        self, threat: Threat, surrogates: Sequence[str], attack_precision: str
    ) -> dict[str, Any]:
        """The keys of the record's header that are its own."""

        def described(each: Asker) -> dict[str, Any]:
            told = {key: getattr(each, key) for key in ("name", "label", "sees", "answers")}
            attack = attack_settings(each.attack, threat)
            return {**told, "surrogate": each.surrogate, "attack": attack}

        transferred = any(each.surrogate for each in self.attackers)
        started = {"transfer": attack_settings(TRANSFER, threat)} if transferred else {}
        seen = dict.fromkeys(each.sees for each in self.attackers)
        return {
            "suite": self.name,
            "queries": self.queries,
            "checkpoints": list(self.checkpoints),
            "attackers": [described(each) for each in self.attackers],
            "evaluations": self.evaluations,
            "knowledge": {sees: KNOWLEDGE[sees] for sees in seen},
            "surrogates": list(surrogates),
            "attack_precision": attack_precision,
            **started,
        }

    def conclude(self, tasks: Sequence[Task], columns: Columns) -> dict[str, Any]:
        """What the header says of the finished columns."""
        return {"warnings": []}
