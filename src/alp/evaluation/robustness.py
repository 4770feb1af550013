"""Robust accuracy by the source paper's protocol: one attack at each level of knowledge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from alp import seeding
from alp.attacks import LOSSES, Attack, Threat, input_gradient
from alp.data.quality import psnr, ssim
from alp.errors import ConfigError, choose
from alp.evaluation.evaluator import caveats
from alp.evaluation.header import About, robustness_header
from alp.evaluation.knowledge import KNOWLEDGE, PAPER
from alp.evaluation.tasks import craft
from alp.evaluation.verdict import judge
from alp.records import Record
from alp.records.parts import finished_batches

if TYPE_CHECKING:
    from alp.data import Images
    from alp.defences.base import Defence

_LEVELS = {level: KNOWLEDGE[level] for level in PAPER}

Progress = Callable[[int, int], None]
"""Called after each batch with the number of finished images and of all."""


def evaluate_protocol(
    defence: Defence,
    data: Images,
    threat: Threat,
    attack: Attack,
    knowledge: Sequence[str],
    *,
    about: About,
    seed: int,
    batch_size: int = 100,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    resume: str | Path | None = None,
) -> Record:
    """Attack every image of ``data`` under each level of ``knowledge`` and judge the result.

    Every accuracy, the clean one too, is judged on fresh draws (:mod:`alp.evaluation.verdict`).
    The randomness of a batch is a function of ``seed``, the purpose, the level and the batch's
    number, so that with a ``resume`` folder a killed evaluation, called again, gives the
    bit-identical record. The folder is left for the caller to delete.

    Returns:
        A record of the kind ``robustness``. Columns, one row an image: ``index`` (position in
        ``data``), ``label``, ``clean_correct``, ``clean_prediction``, ``psnr`` (dB) and ``ssim``
        of one purified draw of the clean image, and for each level ``<level>_correct``,
        ``<level>_prediction``, ``<level>_distance`` (the threat's norm of the change) and
        ``<level>_zero_gradient`` (whether the attacker's first gradient is zero everywhere).
        A prediction of -1 stands for logits that are not finite.

    Raises:
        UnknownNameError: no such level of knowledge.
        ConfigError: no level, or one twice; no images; the attack leaves the threat's ball; the
            resume folder belongs to another evaluation, or ``about`` names no weights for it.
    """
    levels = list(knowledge)
    for level in levels:
        choose(_LEVELS, level, "level of attacker knowledge")
    if not levels or len(set(levels)) < len(levels):
        raise ConfigError(f"attacker knowledge is {levels}; give one level or more, each once")
    if not len(data):
        raise ConfigError(f"the {data.split} split of {data.name} has no images to evaluate on")
    header = robustness_header(
        about, data, threat, attack, levels, seed, batch_size, str(torch.device(device))
    )
    finished = finished_batches(resume, header)
    experiment = _Experiment(defence, threat, attack, levels, seed)
    parts = []
    done = 0
    for batch, (index, x, y) in enumerate(data.batches(batch_size)):
        columns = finished.load(batch) if finished else None
        if columns is None:
            columns = {"index": index.numpy(), **experiment.run(x.to(device), y.to(device), batch)}
            if finished:
                finished.save(batch, columns)
        parts.append(columns)
        done += len(index)
        if progress:
            progress(done, len(data))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Record({**header, "warnings": caveats(joined, levels)}, joined)


@dataclass(frozen=True)
class _Experiment:
    """Everything that the evaluation of a batch needs but the batch."""

    defence: Defence
    threat: Threat
    attack: Attack
    levels: list[str]
    seed: int

    def run(self, x: Tensor, y: Tensor, batch: int) -> dict[str, NDArray[Any]]:
        """The columns of the batch, but for its index."""
        prediction = judge(self.defence, x, self.seed, "clean", batch)
        with torch.no_grad():
            purified = self.defence.purify(x, self._source("purify", batch, x))
        columns = {
            "label": y,
            "clean_correct": prediction == y,
            "clean_prediction": prediction,
            "psnr": psnr(x, purified),
            "ssim": ssim(x, purified),
        }
        # All levels see the same function, so that the first one's attack is everyone's.
        undefended = not self.defence.stochastic and torch.equal(purified, x)
        results: dict[str, Tensor] = {}
        for level in self.levels:
            if not results or not undefended:
                results = self._attacked(level, x, y, batch)
            columns |= {f"{level}_{name}": values for name, values in results.items()}
        return {name: values.cpu().numpy() for name, values in columns.items()}

    def _attacked(self, level: str, x: Tensor, y: Tensor, batch: int) -> dict[str, Tensor]:
        """The results of one level: correct, prediction, distance, zero_gradient."""
        probe = KNOWLEDGE[level](self.defence, self._source(f"probe/{level}", batch, x), 1)
        gradient, _ = input_gradient(probe, x, y, LOSSES["ce"])
        x_adv = craft(
            self.defence, level, x, y, self.threat, self.attack, seed=self.seed, batch=batch
        )
        prediction = judge(self.defence, x_adv, self.seed, level, batch)
        return {
            "correct": prediction == y,
            "prediction": prediction,
            "distance": self.threat.distance(x_adv, x),
            "zero_gradient": (gradient == 0).flatten(1).all(1),
        }

    def _source(self, purpose: str, batch: int, x: Tensor) -> Generator:
        return seeding.generator(self.seed, purpose, batch, device=x.device)
