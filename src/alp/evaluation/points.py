"""One model at a list of settings: attacker, radius, noise level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alp import seeding
from alp.attacks import Attack, Linf
from alp.data.quality import psnr
from alp.errors import ConfigError, choose
from alp.evaluation.header import About, own_header
from alp.evaluation.knowledge import KNOWLEDGE
from alp.evaluation.tasks import craft
from alp.evaluation.verdict import judge
from alp.records import CLEAN, KIND_POINTS, Record
from alp.records.parts import finished_batches

if TYPE_CHECKING:
    from alp.data import Images
    from alp.defences.base import Defence

View: TypeAlias = "Callable[[float | None], Defence]"
"""A noise level to the defence at it; None is the learned one."""


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


def evaluate_points(
    view: View,
    data: Images,
    attack: Attack,
    points: Sequence[Point],
    *,
    about: About,
    seed: int,
    batch_size: int = 100,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    resume: str | Path | None = None,
) -> Record:
    """Attack every image of ``data`` at every point (Linf) and judge it on fresh draws.

    Points of one level meet the same draws, of the attacker as of the judge, whatever their radius
    and noise level: their differences are not noise. Killed and called again with a ``resume``
    folder it goes on at the batch and point where it stopped, to the bit-identical record.

    Args:
        progress: called with (finished images, all images), where an image counts once a point.

    Returns:
        A record of the kind ``points``; :mod:`alp.records.points` describes it.

    Raises:
        ConfigError: no points, or one twice; no images; a resume folder of another evaluation.
    """
    names = [point.name for point in points]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"the points are {names}; give one or more, each once")
    if not len(data):
        raise ConfigError(f"the {data.split} split of {data.name} has no images to evaluate on")
    levels = dict.fromkeys(point.level for point in points if point.level != CLEAN)
    radii = {point.eps for point in points if point.level != CLEAN}
    threat = Linf(max(radii, default=0))
    header = own_header(
        KIND_POINTS,
        about,
        data,
        threat,
        attack,
        list(levels),
        seed,
        batch_size,
        str(torch.device(device)),
        points=[{"name": p.name, **vars(p)} for p in points],
    )
    if len(radii) != 1:
        # The radius, and the step that follows it, are the points' own.
        del header["threat"]["eps"]
        if getattr(attack, "step_size", None) is None:
            header["attack"].pop("step_size", None)
    finished = finished_batches(resume, header)
    defences = {sigma: view(sigma) for sigma in dict.fromkeys(p.sigma for p in points)}
    done, total = 0, len(data) * len(points)
    parts: list[dict[str, NDArray[Any]]] = []
    for batch, (index, x, y) in enumerate(data.batches(batch_size)):
        columns: dict[str, NDArray[Any]] = {"index": index.numpy(), "label": y.numpy()}
        for number, point in enumerate(points):
            own = finished.load(batch, f"point{number:03d}") if finished else None
            if own is None:
                run = _Run(defences[point.sigma], point, attack, seed, batch)
                own = run.measure(x.to(device), y.to(device))
                if finished:
                    finished.save(batch, own, f"point{number:03d}")
            columns |= {f"{point.name}_{key}": values for key, values in own.items()}
            done += len(index)
            progress(done, total)
        parts.append(columns)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Record(header, joined)


@dataclass(frozen=True)
class _Run:
    """A batch at a point."""

    defence: Defence
    point: Point
    attack: Attack
    seed: int
    batch: int

    def measure(self, x: Tensor, y: Tensor) -> dict[str, NDArray[Any]]:
        level = self.point.level
        if level == CLEAN:
            image = self._purified(x)
            passed = torch.full((len(x),), torch.nan)
            judged = x
        else:
            judged = craft(
                self.defence,
                level,
                x,
                y,
                replace(Linf(), eps=self.point.eps),
                self.attack,
                seed=self.seed,
                batch=self.batch,
                draws=self.point.averaged,
            )
            image = self._purified(judged)
            passed = _length(image - self._purified(x)) / _length(judged - x)
        prediction = judge(self.defence, judged, self.seed, level, self.batch)
        columns = {"correct": prediction == y, "psnr": psnr(x, image), "passed": passed}
        return {name: values.cpu().numpy() for name, values in columns.items()}

    def _purified(self, x: Tensor) -> Tensor:
        """One draw, the same for every image of the same place in the batch."""
        source = seeding.generator(self.seed, "purify", self.batch, device=x.device)
        with torch.no_grad():
            return self.defence.purify(x, source)


def _length(change: Tensor) -> Tensor:
    """The Euclidean length of each image's change, (B,)."""
    return change.flatten(1).square().sum(1).sqrt()
