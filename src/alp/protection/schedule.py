"""A plan that is kept, made again for what is still to come, and compared with what was taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from alp.config import from_dict
from alp.defences import Defended
from alp.defences.base import Defence
from alp.defences.checkpoint import save
from alp.defences.packaged import load, require_defended, require_purifier
from alp.defences.purifier import with_noise
from alp.errors import CheckpointError, ConfigError
from alp.files import read_json, write_json
from alp.protection.measure import Rates
from alp.protection.plan import NAMES, Plan, judged, planned

SLOWEST = 0.1
"""Pictures a second; a training's record has no digits for fewer."""


class Schedule:
    """The plan in a folder, and how long the steps have taken."""

    def __init__(
        self,
        folder: Path,
        asked: Mapping[str, Any],
        budget: float,
        counts: tuple[int, int],
        measure: Callable[[], tuple[Rates, float]],
    ) -> None:
        """Read the plan, or make the first one.

        Args:
            asked: what the protection was asked for, plain values.
            budget: seconds for everything.
            counts: training and test pictures.
            measure: gives the rates, and the seconds since the start.

        Raises:
            ConfigError: the folder holds another protection.
            CheckpointError: its plan is damaged.
        """
        self.folder, self.budget = folder, budget
        self.counts = counts
        self._path = folder / "plan.json"
        if self._path.exists():
            kept = read_json(self._path, CheckpointError)
            _require_same(folder, kept.get("asked", {}), asked)
            try:
                self.rates = from_dict(Rates, kept["rates"])
                self.plan = from_dict(Plan, kept["plan"])
                self.seconds = {name: float(kept["seconds"][name]) for name in NAMES}
                self._measured = float(kept["measured"])
                self._begun = [str(each) for each in kept["begun"]]
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(
                    f"{self._path} is damaged ({error!r}); delete {folder} to start again"
                ) from error
        else:
            self.rates, self._measured = measure()
            self._begun = []
            left = budget - self._measured
            self.plan, self.seconds = planned(self.rates, budget, left, *self.counts)
            rest = left - sum(self.seconds[name] for name in NAMES[:-1])
            self._judge(rest)
        self._asked = dict(asked)
        self._keep()

    @property
    def total(self) -> float:
        """Seconds that everything is expected to take, of what is done those that it took."""
        taken = {name: self.taken(name) for name in NAMES}
        return self._measured + sum(
            self.seconds[name] if each is None else each for name, each in taken.items()
        )

    @property
    def measured(self) -> float:
        """Seconds that reading and measuring took."""
        return self._measured

    def taken(self, step: str) -> float | None:
        """Seconds that a step took; None where it is not done."""
        path = self.folder / "steps" / f"{step}.json"
        return float(read_json(path, CheckpointError)["seconds"]) if path.exists() else None

    def done(self, step: str, seconds: float) -> None:
        """A step is done."""
        write_json(self.folder / "steps" / f"{step}.json", {"seconds": round(seconds, 1)})

    def begin(self, step: str, judging: Callable[[], tuple[tuple[float, int], ...]]) -> None:
        """Plan ``step``, unless it was begun before, in what is left of the budget.

        Args:
            judging: measures again how long the evaluation takes.
        """
        if step in self._begun:
            return
        left = self.budget - self._measured
        left -= sum(self.taken(name) or 0.0 for name in NAMES)
        if step == "defence":
            kept = read_json(self.folder / "purifier" / "training.json", CheckpointError)
            speed = max(SLOWEST, float(kept["images_per_second"]))
            pace = 1 / (speed * self.rates.adapting)
            new, seconds = planned(self.rates, self.budget, left, *self.counts, pace=pace)
            self.plan = replace(self.plan, defending=new.defending)
            self.seconds["defence"] = seconds["defence"]
        if step == "judge":
            self.rates = replace(self.rates, judging=judging())
            self._judge(left)
        self._begun.append(step)
        self._keep()

    def _judge(self, left: float) -> None:
        images, checked, self.seconds["judge"] = judged(self.rates, left, self.counts[1])
        self.plan = replace(self.plan, judged=images, checked=checked)

    def _keep(self) -> None:
        write_json(
            self._path,
            {
                "asked": self._asked,
                "rates": asdict(self.rates),
                "measured": self._measured,
                "plan": asdict(self.plan),
                "seconds": self.seconds,
                "begun": self._begun,
            },
        )


def _require_same(folder: Path, kept: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    changed = [key for key, value in asked.items() if kept.get(key) != value]
    if changed:
        raise ConfigError(
            f"{folder} holds a protection with another {', '.join(changed)}; give another "
            "folder, or delete that one"
        )


def assemble(folder: Path, trained: Path, classifier: Defence, draws: int) -> None:
    """Write the defended classifier into ``folder``: as it is deployed, and without noise, for
    certificates, which need a deterministic one.

    Args:
        trained: weights of a purifier, which is put before ``classifier``, or of a classifier
            behind its purifier.
    """
    model = load(trained)
    name = str(trained)
    defended = (
        require_defended(model, name)
        if model.classifies
        else Defended(classifier, require_purifier(model, name))
    )
    quiet = Defended(defended.classifier, with_noise(defended.purifier, 0.0), 1)
    quiet.classes = defended.classes
    for name, each in (("defended", defended.with_draws(draws)), ("noiseless", quiet)):
        save(each.eval(), folder / f"{name}.safetensors")
