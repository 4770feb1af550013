"""What a suite of adaptive attacks does to a target, as tasks: clean images, attacks, checks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from alp.attacks import Threat
from alp.errors import ConfigError
from alp.evaluation.checks import CHECKS, Check, Scene
from alp.evaluation.header import attack_settings
from alp.evaluation.knowledge import BLACK_BOX, describe
from alp.evaluation.suites import Entry, Suite, suite_for
from alp.evaluation.tasks import ALL, Context, Judged, Part, Task, as_columns, generate, quality
from alp.records import KIND_VERDICT, Columns

NOTHING_ATTACKED = {
    "check": "attacked",
    "passed": False,
    "value": 0.0,
    "bound": 1.0,
    "inequality": "images that are right before any attack >= 1",
    "words": "no clean image is classified correctly: nothing was attacked, and no check can tell "
    "whether the attacks work",
}
"""The one finding of an evaluation that had nothing to attack."""


@dataclass(frozen=True)
class Adaptive:
    """What a suite does to a target. The record is of the kind ``verdict``."""

    suite: str | Suite
    """The name of a suite, which is fitted to the target, or a suite of one's own."""

    kind: ClassVar[str] = KIND_VERDICT

    def fitted(self, context: Context, norm: str, classes: int) -> Adaptive:
        """With the suite as far as it makes sense for the target.

        Raises:
            UnknownNameError: no such suite.
            ConfigError: a surrogate that the suite names is not among the context's.
        """
        suite = self.suite
        if isinstance(suite, str):
            return Adaptive(suite_for(suite, norm, context.defence, context.surrogates, classes))
        for entry in suite.entries:
            if entry.level == "transfer" and entry.surrogate not in context.surrogates:
                given = ", ".join(context.surrogates) or "none"
                raise ConfigError(
                    f"the entry {entry.name!r} attacks the surrogate {entry.surrogate!r}; give it "
                    f"in surrogates (there: {given})"
                )
        return self

    def tasks(self, context: Context) -> Sequence[Task]:
        """Everything there is to do, in order; a closing entry comes after all that it looks at."""
        suite = self._suite
        opening = [EntryTask(context, suite, entry) for entry in suite.opening]
        closing = [
            EntryTask(context, suite, entry, after=1 + len(opening) + number)
            for number, entry in enumerate(suite.closing)
        ]
        checks = [
            CheckTask(context, suite, check)
            for check in (kind() for kind in CHECKS.values())
            if suite.probes.images and check.applies(suite, context.defence)
        ]
        return [CleanTask(context, suite), *opening, *closing, *checks]

    @property
    def checked(self) -> bool:
        """Whether its checks look at any image."""
        return self._suite.probes.images > 0

    @property
    def averaged(self) -> int:
        """Most draws that an attacker averages at a call."""
        entries = (each.draws for each in self._suite.entries if each.level != "score")
        return max([self._suite.probes.draws, *entries])

    def own(
        self, threat: Threat, surrogates: Sequence[str], attack_precision: str
    ) -> dict[str, Any]:
        """The keys of the record's header that are its own."""
        suite = self._suite

        def described(entry: Entry, closing: bool) -> dict[str, Any]:
            attack = attack_settings(entry.attack, threat)
            return {**asdict(entry), "attack": attack, "name": entry.name, "closing": closing}

        entries = [described(entry, False) for entry in suite.opening]
        entries += [described(entry, True) for entry in suite.closing]
        return {
            "suite": suite.name,
            "entries": entries,
            "evaluations": suite.evaluations,
            "probes": asdict(suite.probes),
            "knowledge": {entry.level: describe(entry.level) for entry in suite.entries},
            "surrogates": list(surrogates),
            "attack_precision": attack_precision,
        }

    def conclude(self, tasks: Sequence[Task], columns: Columns) -> dict[str, Any]:
        """What the header says of the finished columns: the findings of the checks."""
        checks = [task.conclude(columns) for task in tasks if isinstance(task, CheckTask)]
        if checks and not columns["clean_select"].any():
            checks = [NOTHING_ATTACKED]
        return {"checks": checks, "warnings": []}

    @property
    def _suite(self) -> Suite:
        assert isinstance(self.suite, Suite), "fitted first"
        return self.suite


@dataclass(frozen=True)
class CleanTask:
    """The clean images: how often they are right, and what purification does to them."""

    context: Context
    suite: Judged
    name = "clean"
    images = ALL
    after = 0

    @property
    def cost(self) -> tuple[float, float]:
        return 0, 2 * self.suite.evaluations * self.context.defence.draws

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        context, rounds = self.context, self.suite.evaluations
        fresh, confidence = context.judged(x, y, "fresh/clean", batch, rounds)
        return as_columns(
            {
                "clean_select": context.right(x, y, "select/clean", batch, rounds),
                "clean_fresh": fresh,
                "clean_confidence": confidence,
                **quality(x, context.purified(x, batch)),
            }
        )


@dataclass(frozen=True)
class EntryTask:
    """An entry of the suite. It attacks what the tasks before it have left: the images that each
    of them has right at least once in R predictions, the clean task first of all. What black boxes
    have broken is not kept from white ones, which are to be compared with them. The fresh
    predictions are made only where they can count: where the attack did better than the clean
    image."""

    context: Context
    suite: Suite
    entry: Entry
    after: int = 1
    images = ALL

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def cost(self) -> tuple[float, float]:
        gradients, scores = self.entry.attack.calls
        left = 0.7 if self.after == 1 else 0.5  # guesses; good enough for an estimate
        judged = 1.5 * self.suite.evaluations * self.context.defence.draws
        return left * gradients * self.entry.draws, left * (scores * self.entry.draws + judged)

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        context, entry, rounds = self.context, self.entry, self.suite.evaluations
        apart = () if entry.level in BLACK_BOX else BLACK_BOX
        left = np.ones(len(x), dtype=bool)
        for part in earlier:
            for name, values in part.items():
                if name.endswith("_select") and name.split()[0] not in apart:
                    left &= values != 0
        alive = torch.from_numpy(left)
        select, fresh = (torch.full((len(x),), -1, dtype=torch.int16) for _ in range(2))
        distance = torch.zeros(len(x))
        confidence = torch.full((len(x),), math.nan)
        if alive.any():
            rows = alive.to(x.device)
            defence = context.surrogates[entry.surrogate] if entry.surrogate else context.defence
            x_adv = generate(
                defence,
                entry.level,
                x[rows],
                y[rows],
                context.threat,
                entry.attack,
                seed=context.seed,
                batch=batch,
                name=entry.name,
                draws=entry.draws,
                objective=entry.objective,
            )
            select[alive] = context.right(
                x_adv, y[rows], f"select/{entry.name}", batch, rounds, attacked=True
            ).cpu()
            clean = torch.from_numpy(earlier[0]["clean_select"].copy())
            better = alive & (select < clean)
            if better.any():
                of_these = better[alive].to(x.device)
                right, sure = context.judged(
                    x_adv[of_these],
                    y[rows][of_these],
                    f"fresh/{entry.name}",
                    batch,
                    rounds,
                    attacked=True,
                )
                fresh[better], confidence[better] = right.cpu(), sure.cpu()
            distance[alive] = context.threat.distance(x_adv, x[rows]).float().cpu()
        columns = {
            "attacked": alive,
            "select": select,
            "fresh": fresh,
            "confidence": confidence,
            "distance": distance,
        }
        return as_columns({f"{self.name}_{name}": values for name, values in columns.items()})


@dataclass(frozen=True)
class CheckTask:
    """A check, on the first images."""

    context: Context
    suite: Suite
    check: Check
    after = 0

    @property
    def name(self) -> str:
        return f"check {self.check.name}"

    @property
    def images(self) -> int:
        return self.suite.probes.images

    @property
    def cost(self) -> tuple[float, float]:
        return self.check.cost(self.suite)

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        context, suite = self.context, self.suite
        scene = Scene(
            context.defence,
            context.threat,
            suite.probes,
            suite.evaluations,
            context.seed,
            batch,
        )
        numbers = self.check.measure(scene, x, y)
        return as_columns({f"{self.check.name}_{key}": each for key, each in numbers.items()})

    def conclude(self, record: Columns) -> dict[str, Any]:
        """The finding, as the record keeps it."""
        prefix = f"{self.check.name}_"
        own = {
            name.removeprefix(prefix): values[: self.images]
            for name, values in record.items()
            if name.startswith(prefix)
        }
        return asdict(self.check.conclude(own, record, self.suite))
