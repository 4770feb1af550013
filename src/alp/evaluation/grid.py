"""One model at a grid of settings: attacker, radius, noise level. Needs no torch to be set up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from alp.attacks import Attack, Linf, Threat
from alp.errors import ConfigError, choose
from alp.evaluation.header import attackers
from alp.evaluation.knowledge import KNOWLEDGE
from alp.records import CLEAN, KIND_POINTS

if TYPE_CHECKING:
    from torch import Tensor

    from alp.evaluation.tasks import Context, Part, Task
    from alp.records import Columns


@dataclass(frozen=True)
class Point:
    """One setting."""

    level: str = CLEAN
    """What the attacker knows; ``clean`` where there is none."""
    eps: float = 0.0
    """Radius of the attack."""
    sigma: float | None = None
    """Noise level of the defence in latent units; None for the learned one."""
    averaged: int = 1
    """Draws that the attacker averages at each gradient."""

    def __post_init__(self) -> None:
        if self.level != CLEAN:
            choose(KNOWLEDGE, self.level, "level of attacker knowledge")
        if (self.level == CLEAN) != (self.eps == 0):
            raise ConfigError(
                f"a point of the level {self.level!r} has eps {self.eps!r}; give 0 for "
                f"{CLEAN!r} and a radius for an attacker"
            )

    @property
    def name(self) -> str:
        """The prefix of its columns, such as ``single 0.0314 at 0.5``."""
        where = "" if self.sigma is None else f" at {self.sigma:g}"
        return f"{self.level} {self.eps:.4g}{where}"


@dataclass(frozen=True)
class Grid:
    """Every image is attacked at every point (Linf) and judged on fresh draws.

    Points of one level meet the same draws, of the attacker as of the judge, whatever their radius
    and noise level: their differences are not noise. :mod:`alp.records.points` describes the
    record.
    """

    attack: Attack
    """The attack."""
    points: tuple[Point, ...]
    """The settings."""

    kind: ClassVar[str] = KIND_POINTS

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(self.points))
        names = [point.name for point in self.points]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"the points are {names}; give one or more, each once")

    @property
    def threat(self) -> Linf:
        """The largest ball."""
        return Linf(max((point.eps for point in self.points), default=0))

    def fitted(self, context: Context, norm: str, classes: int) -> Grid:
        """Itself: it is the same for every target."""
        return self

    @property
    def averaged(self) -> int:
        """Most draws that an attacker averages at a call."""
        return max(point.averaged for point in self.points)

    def tasks(self, context: Context) -> Sequence[Task]:
        """A task a point."""
        return [PointTask(context, self.attack, point) for point in self.points]

    def own(
        self, threat: Threat, surrogates: Sequence[str], attack_precision: str
    ) -> dict[str, Any]:
        """The keys of the record's header that are its own."""
        levels = dict.fromkeys(point.level for point in self.points if point.level != CLEAN)
        own = attackers(self.attack, self.threat, levels)
        ball: dict[str, Any] = {"name": "linf", "eps": self.threat.eps}
        if len({point.eps for point in self.points if point.level != CLEAN}) != 1:
            # The radius, and the step that follows it, are the points' own.
            del ball["eps"]
            if getattr(self.attack, "step_size", None) is None:
                own["attack"].pop("step_size", None)
        points = [{"name": point.name, **vars(point)} for point in self.points]
        return {"threat": ball, **own, "warnings": [], "points": points}

    def conclude(self, tasks: Sequence[Task], columns: Columns) -> dict[str, Any]:
        """What the header says of the finished columns."""
        return {}


@dataclass(frozen=True)
class PointTask:
    """The images of a batch at a point."""

    context: Context
    attack: Attack
    point: Point
    images: int = 2**62
    after: int = 0

    @property
    def name(self) -> str:
        return self.point.name

    @property
    def cost(self) -> tuple[float, float]:
        draws = self.context.defence.draws
        if self.point.level == CLEAN:
            return 0, draws
        gradients, scores = self.attack.calls
        return gradients * self.point.averaged, scores * self.point.averaged + draws

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        import torch

        from alp.data.quality import psnr
        from alp.evaluation.tasks import Context, as_columns, generate
        from alp.evaluation.verdict import judge

        point, seed, defence = self.point, self.context.seed, self.context.defence
        if point.sigma is not None:
            defence = defence.at_sigma(point.sigma)
        here = Context(defence, {}, self.context.threat, seed)
        judged, passed = x, torch.full((len(x),), torch.nan)
        if point.level != CLEAN:
            judged = generate(
                defence,
                point.level,
                x,
                y,
                Linf(point.eps),
                self.attack,
                seed=seed,
                batch=batch,
                draws=point.averaged,
            )
        image = here.purified(judged, batch)
        if point.level != CLEAN:
            passed = _length(image - here.purified(x, batch)) / _length(judged - x)
        prediction = judge(defence, judged, seed, point.level, batch)
        columns = {"correct": prediction == y, "psnr": psnr(x, image), "passed": passed}
        return as_columns({f"{point.name}_{key}": each for key, each in columns.items()})


def _length(change: Tensor) -> Tensor:
    """The Euclidean length of each image's change, (B,)."""
    return change.flatten(1).square().sum(1).sqrt()
