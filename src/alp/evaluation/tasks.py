"""The parts of an evaluation, each of which can be done, and kept, batch by batch.

The attacked images of a batch, as every level of attacker knowledge makes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alp import seeding
from alp.attacks import Attack, Threat, expected
from alp.data.quality import WINDOW, psnr, ssim
from alp.errors import ConfigError
from alp.evaluation.checks import Check, Scene
from alp.evaluation.knowledge import BLACK_BOX, KNOWLEDGE
from alp.evaluation.suites import Entry, Suite
from alp.evaluation.verdict import counts

if TYPE_CHECKING:
    from alp.defences.base import Defence


def craft(
    defence: Defence,
    level: str,
    x: Tensor,
    y: Tensor,
    threat: Threat,
    attack: Attack,
    *,
    seed: int,
    batch: int,
    name: str | None = None,
    draws: int = 1,
    objective: str = "loss",
) -> Tensor:
    """``x`` (B,3,H,W) attacked by an attacker who knows ``level`` of ``defence``.

    The attacker averages ``draws`` draws of the defence by ``objective`` at each call. The
    attack's draws and the defence's, as the attacker sees them, are a function of ``seed``,
    ``name`` (by default ``level``) and ``batch``: whoever calls this for a batch of an evaluation
    gets the very images that the evaluation judged.

    Raises:
        ConfigError: the attack leaves the threat's ball or [0,1].
    """
    name = name or level
    noise = seeding.generator(seed, f"draw/{name}", batch, device=x.device)
    source = seeding.generator(seed, f"attack/{name}", batch, device=x.device)
    target = expected(KNOWLEDGE[level](defence, noise, draws), objective)
    x_adv = attack(target, x, y, threat, source)
    _require_inside(x_adv, threat.distance(x_adv, x), threat, attack)
    return x_adv


def _require_inside(x_adv: Tensor, distance: Tensor, threat: Threat, attack: Attack) -> None:
    """Rounding aside, the attack has to keep to the budget that its result is quoted for."""
    farthest = float(distance.max())
    if not farthest <= threat.eps * (1 + 1e-4) + 1e-6:
        raise ConfigError(
            f"the attack {attack} went {farthest:.4g} far, outside {threat}; "
            "evaluate with one that keeps to the threat, such as pgd"
        )
    low, high = x_adv.aminmax()
    if not (low >= 0 and high <= 1):
        raise ConfigError(
            f"the attack {attack} made pixels from {float(low):.4g} to {float(high):.4g}; "
            "evaluate with one that keeps to [0,1], such as pgd"
        )


Part = dict[str, NDArray[Any]]
"""The columns that a unit makes of a batch."""


@dataclass(frozen=True)
class Bench:
    """What all units of an evaluation share."""

    defence: Defence
    """The target."""
    surrogates: Mapping[str, Defence]
    """Other models by name."""
    threat: Threat
    """The attacker's ball."""
    suite: Suite
    """What is done."""
    seed: int
    """Seed of all randomness."""

    def right(self, x: Tensor, y: Tensor, point: str, batch: int) -> Tensor:
        """How many of R predictions of ``x`` are right, (B,), on draws of their own."""
        rounds = self.suite.evaluations
        return counts(self.defence, x, y, self.seed, point, batch, rounds)


class Unit(Protocol):
    """A part of an evaluation."""

    @property
    def name(self) -> str:
        """What is being done."""

    @property
    def images(self) -> int:
        """How many of the images it looks at, the first of them."""

    @property
    def after(self) -> int:
        """How many of the first units' columns it has to see."""

    @property
    def work(self) -> tuple[float, float]:
        """Draws that an image takes, with a gradient and without one."""

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        """The columns of a batch."""


ALL = 2**62
"""More images than there are."""


@dataclass(frozen=True)
class CleanUnit:
    """The clean images: how often they are right, and what purification does to them."""

    bench: Bench
    name = "clean"
    images = ALL
    after = 0

    @property
    def work(self) -> tuple[float, float]:
        return 0, 2 * self.bench.suite.evaluations * self.bench.defence.draws

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        source = seeding.generator(self.bench.seed, "purify", batch, device=x.device)
        with torch.no_grad():
            purified = self.bench.defence.purify(x, source)
        small = min(x.shape[-2:]) < WINDOW
        return _columns(
            {
                "clean_select": self.bench.right(x, y, "select/clean", batch),
                "clean_fresh": self.bench.right(x, y, "fresh/clean", batch),
                "psnr": psnr(x, purified),
                "ssim": torch.full((len(x),), math.nan) if small else ssim(x, purified),
            }
        )


@dataclass(frozen=True)
class EntryUnit:
    """An entry of the suite. It attacks what the units before it have left: the images that each
    of them has right at least once in R predictions, the clean unit first of all. What black boxes
    have broken is not kept from white ones, which are to be compared with them. The fresh
    predictions are made only where they can count: where the attack did better than the clean
    image."""

    bench: Bench
    entry: Entry
    after: int = 1
    images = ALL

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def work(self) -> tuple[float, float]:
        gradients, scores = self.entry.attack.calls
        left = 0.7 if self.after == 1 else 0.5  # guesses; good enough for an estimate
        judged = 1.5 * self.bench.suite.evaluations * self.bench.defence.draws
        return left * gradients * self.entry.draws, left * (scores * self.entry.draws + judged)

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        bench, entry = self.bench, self.entry
        apart = () if entry.level in BLACK_BOX else BLACK_BOX
        left = np.ones(len(x), dtype=bool)
        for part in earlier:
            for name, values in part.items():
                if name.endswith("_select") and name.split()[0] not in apart:
                    left &= values != 0
        alive = torch.from_numpy(left)
        select, fresh = (torch.full((len(x),), -1, dtype=torch.int16) for _ in range(2))
        distance = torch.zeros(len(x))
        if alive.any():
            rows = alive.to(x.device)
            defence = bench.surrogates[entry.surrogate] if entry.surrogate else bench.defence
            x_adv = craft(
                defence,
                entry.level,
                x[rows],
                y[rows],
                bench.threat,
                entry.attack,
                seed=bench.seed,
                batch=batch,
                name=entry.name,
                draws=entry.draws,
                objective=entry.objective,
            )
            select[alive] = bench.right(x_adv, y[rows], f"select/{entry.name}", batch).cpu()
            clean = torch.from_numpy(earlier[0]["clean_select"].copy())
            better = alive & (select < clean)
            if better.any():
                of_these = better[alive].to(x.device)
                fresh[better] = bench.right(
                    x_adv[of_these], y[rows][of_these], f"fresh/{entry.name}", batch
                ).cpu()
            distance[alive] = bench.threat.distance(x_adv, x[rows]).float().cpu()
        columns = {"attacked": alive, "select": select, "fresh": fresh, "distance": distance}
        return _columns({f"{self.name}_{name}": values for name, values in columns.items()})


@dataclass(frozen=True)
class CheckUnit:
    """A check, on the first images."""

    bench: Bench
    check: Check
    after = 0

    @property
    def name(self) -> str:
        return f"check {self.check.name}"

    @property
    def images(self) -> int:
        return self.bench.suite.probes.images

    @property
    def work(self) -> tuple[float, float]:
        return self.check.work(self.bench.suite)

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        bench = self.bench
        suite = bench.suite
        scene = Scene(
            bench.defence, bench.threat, suite.probes, suite.evaluations, bench.seed, batch
        )
        numbers = self.check.measure(scene, x, y)
        return _columns({f"{self.check.name}_{key}": each for key, each in numbers.items()})

    def conclude(self, record: Part, suite: Suite) -> dict[str, Any]:
        """The finding, as the record keeps it."""
        prefix = f"{self.check.name}_"
        own = {
            name.removeprefix(prefix): values[: self.images]
            for name, values in record.items()
            if name.startswith(prefix)
        }
        return asdict(self.check.conclude(own, record, suite))


def _columns(tensors: Mapping[str, Tensor]) -> Part:
    return {name: values.cpu().numpy() for name, values in tensors.items()}
