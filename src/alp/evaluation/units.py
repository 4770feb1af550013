"""The parts of an evaluation, each of which can be done, and kept, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alp import seeding
from alp.attacks import Threat
from alp.evaluation.checks import Check, Scene
from alp.evaluation.crafting import craft
from alp.evaluation.knowledge import BLACK_BOX, Subject
from alp.evaluation.quality import WINDOW, psnr, ssim
from alp.evaluation.suites import Entry, Suite
from alp.evaluation.verdict import counts

Part = dict[str, NDArray[Any]]
"""The columns that a unit makes of a batch."""


@dataclass(frozen=True)
class Bench:
    """What all units of an evaluation share."""

    subject: Subject
    """The target."""
    surrogates: Mapping[str, Subject]
    """Other models by name."""
    threat: Threat
    """The attacker's ball."""
    suite: Suite
    """What is done."""
    seed: int
    """Seed of all randomness."""

    def counted(self, x: Tensor, y: Tensor, point: str, batch: int) -> tuple[Tensor, Tensor]:
        """How many of R predictions are right, on the draws that select and on fresh ones. A
        target that is not random needs one prediction for both."""
        select, fresh = (
            counts(
                self.subject.predict, x, y, self.seed, f"{kind}/{point}", batch,
                self.suite.evaluations,
            )
            for kind in (("select", "fresh") if self.subject.stochastic else ("select",) * 2)
        )  # fmt: skip
        return select, fresh


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
        return 0, 2 * self.bench.suite.evaluations * self.bench.subject.draws

    def run(self, x: Tensor, y: Tensor, batch: int, earlier: Sequence[Part]) -> Part:
        select, fresh = self.bench.counted(x, y, "clean", batch)
        source = seeding.generator(self.bench.seed, "purify", batch, device=x.device)
        with torch.no_grad():
            purified = self.bench.subject.purify(x, source)
        small = min(x.shape[-2:]) < WINDOW
        return _columns(
            {
                "clean_select": select,
                "clean_fresh": fresh,
                "psnr": psnr(x, purified),
                "ssim": torch.full((len(x),), math.nan) if small else ssim(x, purified),
            }
        )


@dataclass(frozen=True)
class EntryUnit:
    """An entry of the suite. One that comes ``after`` others attacks what they have left: the
    images that each of them, and the clean image, has right at least once in R predictions. What
    black boxes have broken is not kept from white ones, which are to be compared with them."""

    bench: Bench
    entry: Entry
    after: int = 0
    images = ALL

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def work(self) -> tuple[float, float]:
        gradients, scores = self.entry.attack.calls
        left = 0.5 if self.after else 1.0  # a guess; good enough for an estimate
        judged = 2 * self.bench.suite.evaluations * self.bench.subject.draws
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
            subject = bench.surrogates[entry.surrogate] if entry.surrogate else bench.subject
            x_adv = craft(
                subject,
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
            found = bench.counted(x_adv, y[rows], entry.name, batch)
            select[alive], fresh[alive] = (each.cpu() for each in found)
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
            bench.subject, bench.threat, suite.probes, suite.evaluations, bench.seed, batch
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
