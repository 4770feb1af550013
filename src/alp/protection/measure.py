"""How long each step of a protection takes here: a few of its real steps and calls are timed, on
the user's own classifier and pictures, while the machine is as busy as it is."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch

from alp import seeding
from alp.defences import Defended
from alp.defences.base import Defence
from alp.defences.plan import BLOCK
from alp.evaluation import EvalConfig
from alp.evaluation.evaluator import Work
from alp.evaluation.planning import estimate
from alp.evaluation.tasks import Task
from alp.training import recipes
from alp.training.train import train

if TYPE_CHECKING:
    from alp.data import Images

BATCHES = (2, 8, 32)
"""Batches of the training steps that are timed; a larger one only where the one before is quick."""

QUICK = 0.5
"""Seconds of a step that is quick."""

JUDGED = 4
"""Test images on which the calls of attackers are timed."""

CALLS = 150
"""Gradients of a draw that timing them takes an image, about."""

PATIENCE = 20.0
"""Seconds that timing them may take; where it is longer, one gradient stands for all."""

EVERY = 2**31
"""More images than are judged: what a task looks at that looks at every one. Checks look at the
first few alone."""

VOTED = 16
"""Noisy copies of an image that are classified to see how long a block of votes takes."""


@dataclass(frozen=True)
class Rates:
    """Seconds that this machine takes."""

    loading: float
    """To read the pictures, which every step does."""
    adapting: float
    """For a picture in a step of the purifier's training."""
    defending: float
    """For a picture in a step of the adversarial training."""
    voting: float
    """For a vote of a certificate."""
    judging: tuple[tuple[float, int], ...]
    """For an image of each task of the evaluation, and on how many images it looks at most."""

    def judged(self, images: int, checked: bool = True) -> float:
        """Seconds for the evaluation of so many images, with its checks or without."""
        tasks = ((each, most) for each, most in self.judging if checked or most >= EVERY)
        return sum(each * min(images, most) for each, most in tasks)


def measured(
    attacked: tuple[Defence, Defended],
    recipe: str,
    start_from: tuple[Path, Path],
    data: Sequence[Images],
    config: EvalConfig,
    loading: float,
) -> Rates:
    """Time a few steps of everything.

    Args:
        attacked: the classifier, and the same behind the purifier.
        recipe: the name of the adversarial training's.
        start_from: where purifier and classifier are loaded from.
        data: training and test pictures.
        config: of the evaluation.
        loading: seconds that reading took.
    """
    train, test = data
    purifier, classifier = start_from
    return Rates(
        loading,
        training_rate("purifier", train, config.seed, purifier),
        training_rate(recipe, train, config.seed, purifier, classifier),
        voting_rate(attacked[1], test),
        judging_rates(attacked, test, config),
    )


def training_rate(
    name: str, images: Images, seed: int, purifier: Path, classifier: Path | None = None
) -> float:
    """Seconds that a picture takes in a step of the recipe ``name``."""
    rate = 0.0
    for batch in BATCHES:
        batch = min(batch, len(images))
        stage = recipes.recipe(name, "cpu").stage
        epochs = 3 / (len(images) // batch)
        stage = replace(stage, optim=replace(stage.optim, batch_size=batch, epochs=epochs))
        ends: list[float] = []
        with TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a training that is none
            train(
                stage,
                folder,
                images,
                seed=seed,
                purifier=purifier,
                classifier=classifier,
                report=lambda step, steps, scalars, ends=ends: ends.append(time.perf_counter()),  # type: ignore[misc]
            )
        step = (ends[-1] - ends[0]) / 2  # the first is slower
        rate = step / batch
        if step > QUICK:
            break
    return rate


def judging_rates(
    models: Iterable[Defence], images: Images, config: EvalConfig
) -> tuple[tuple[float, int], ...]:
    """``Rates.judging`` of an evaluation of ``models``, one after the other."""
    few = images.take(min(JUDGED, len(images)), config.seed)
    found = []
    for model in models:
        here = deepcopy(model).to(config.device)
        work = Work(here, None, {}, few.take(1), config)
        with_gradient, without = work.probe().rates
        if CALLS * len(few) * with_gradient > PATIENCE:
            tasks, each = (
                work.tasks,
                [task.cost[0] * with_gradient + task.cost[1] * without for task in work.tasks],
            )
        else:
            tasks, each = _timed(here, few, config)
        found += [
            (seconds, min(task.images, EVERY)) for task, seconds in zip(tasks, each, strict=True)
        ]
    return tuple(found)


def _timed(model: Defence, images: Images, config: EvalConfig) -> tuple[list[Task], list[float]]:
    """The tasks of an evaluation, and the seconds that an image of each takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    plan = estimate(model, images, config)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    # The estimate is of processor time, of which a busy machine gives less.
    busy = wall / cpu if config.device == "cpu" and cpu else 1.0
    return list(plan.tasks), [busy * each for each in plan.each]


def voting_rate(model: Defence, images: Images) -> float:
    """Seconds that a vote on an image takes."""
    rate = 0.0
    for votes in (VOTED, BLOCK):
        x, _ = images.batch(torch.zeros(votes, dtype=torch.long))
        source = seeding.generator(0, "rates")
        start = time.perf_counter()
        with torch.no_grad():
            model.logits(x + seeding.normal(x.shape, source), source, 1)
        rate = (time.perf_counter() - start) / votes
        if rate * BLOCK > PATIENCE:
            break
    return rate
