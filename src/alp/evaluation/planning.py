"""What an evaluation will take: units, core-hours, memory, and wall time on any number of workers.

Every kind of call that the suite makes is timed once on a few images, by each level of knowledge
and number of draws. A short attack says how many images will be left for the attacks that look at
what others have left.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from alp import seeding
from alp.attacks import LOSSES, PGD, expected, input_gradient
from alp.data.images import Images, require_data
from alp.defences.memory import graph_bytes
from alp.evaluation.adaptive import CleanTask, EntryTask
from alp.evaluation.config import EvalConfig
from alp.evaluation.crew import Crew
from alp.evaluation.evaluator import Work
from alp.evaluation.knowledge import BLACK_BOX, KNOWLEDGE
from alp.evaluation.schedule import Unit, units
from alp.evaluation.tasks import Task
from alp.executors import on_threads

if TYPE_CHECKING:
    from alp.defences.base import Defence

_IMAGES = 16
"""Images that calls are timed on."""

_PROBED = 64
"""Images whose answers say how many are right."""

_SHORT = PGD(10)
"""Says how many images white boxes leave."""


@dataclass(frozen=True)
class Estimate:
    """What an evaluation will take."""

    tasks: Sequence[Task] = field(repr=False)
    """Its tasks."""
    every: Sequence[Unit] = field(repr=False)
    """Its units."""
    each: Sequence[float]
    """Core-seconds of an image, task by task."""
    threads: int
    """Processor threads of a worker."""
    memory: int
    """Bytes of a worker, without Python and its libraries: weights, images and a gradient."""

    @property
    def core_seconds(self) -> float:
        """Of all units."""
        return sum(self.of(unit) for unit in self.every)

    def of(self, unit: Unit) -> float:
        """Core-seconds of a unit."""
        return self.each[unit.task] * len(unit.rows)

    def wall(self, workers: int, start: float = 0.0) -> float:
        """Seconds from the start to the last unit with so many workers, each of which takes
        ``start`` seconds until it is ready."""
        seconds = {unit: self.of(unit) / self.threads for unit in self.every}
        after = {unit: self.tasks[unit.task].after for unit in self.every}
        return makespan(seconds, after, workers, start)


def makespan(
    seconds: Mapping[Unit, float], after: Mapping[Unit, int], workers: int, start: float = 0.0
) -> float:
    """Seconds until all units are done, where a worker that is free takes the smallest unit that
    may start.

    Args:
        seconds: of each unit.
        after: how many of the first tasks of its batch have to be done before a unit.
        start: seconds until a worker is ready.
    """
    waiting: dict[int, list[Unit]] = {}
    for unit in sorted(seconds):
        waiting.setdefault(unit.batch, []).append(unit)
    done: dict[int, set[int]] = {batch: set() for batch in waiting}

    def released(batch: int) -> list[Unit]:
        own = waiting[batch]
        found = [unit for unit in own if set(range(after[unit])) <= done[batch]]
        waiting[batch] = [unit for unit in own if unit not in found]
        return found

    ready = [unit for batch in waiting for unit in released(batch)]
    heapq.heapify(ready)
    free = [start] * workers
    running: list[tuple[float, Unit]] = []
    now = start
    while ready or running:
        while ready and free:
            begun = max(now, heapq.heappop(free))
            unit = heapq.heappop(ready)
            heapq.heappush(running, (begun + seconds[unit], unit))
        now, unit = heapq.heappop(running)
        heapq.heappush(free, now)
        done[unit.batch].add(unit.task)
        for each in released(unit.batch):
            heapq.heappush(ready, each)
    return now


def estimate(
    target: Any,
    data: Images,
    config: EvalConfig,
    *,
    deploy: Callable[[Defence], Defence] | None = None,
    surrogates: Mapping[str, Any] | None = None,
    crew: Crew | None = None,
) -> Estimate:
    """What :func:`alp.evaluation.evaluator.run` will take with the same arguments."""
    require_data(data)
    crew = crew or Crew()
    with on_threads(crew.size):
        work = Work(target, deploy, surrogates or {}, data, config)
        clock = _Clock(work)
        each = [clock.image(task) for task in work.tasks]
        x, _ = work.first(1)
        averaged = work.plan.averaged if work.defence.stochastic else 1
        held = sum(p.numel() * p.element_size() for p in work.defence.parameters())
        graph = graph_bytes(work.defence, x) if work.defence.differentiable else 0
        pixels = data.images.shape[1] * data.images.shape[2] * data.images.shape[3]
        memory = held + len(data) * pixels + graph * averaged * config.batch_size
    every = units(work.tasks, len(data), config.batch_size)
    return Estimate(work.tasks, every, each, crew.size, memory)


class _Clock:
    """Core-seconds of the calls that tasks make."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.x, self.y = work.first(min(_IMAGES, work.config.batch_size))
        self._known: dict[Any, float] = {}
        x, y = work.first(_PROBED)
        source = self._source()
        with torch.no_grad():
            is_right = work.defence(x, source).argmax(1) == y
        self.right = float(is_right.float().mean())
        self.left = self.right * self._survivors(x[is_right][:_IMAGES], y[is_right][:_IMAGES])

    def image(self, task: Task) -> float:
        """Core-seconds that a task takes an image."""
        defence = self.work.defence
        if isinstance(task, CleanTask):
            rounds = 2 * task.suite.evaluations
            return (rounds + 1 / defence.draws) * self._prediction(defence)
        if not isinstance(task, EntryTask):
            with_gradient, without = task.cost
            seconds = without * self._prediction(defence) / defence.draws
            if with_gradient:
                draws = 4 if defence.stochastic else 1
                seconds += with_gradient * self._call(defence, "eot", draws, True) / draws
            return seconds
        entry, rounds = task.entry, task.suite.evaluations
        attacked = self.work.surrogates[entry.surrogate] if entry.surrogate else defence
        gradients, scores = entry.attack.calls
        closing = task.after > 1 and entry.level not in BLACK_BOX
        here = self.left if closing else self.right
        broken = 0.0 if closing or not self.right else 1 - self.left / self.right
        seconds = rounds * (1 + broken) * self._prediction(defence)
        if gradients:
            seconds += gradients * self._call(attacked, entry.level, entry.draws, True)
        if scores:
            seconds += scores * self._call(attacked, entry.level, entry.draws, False)
        return here * seconds

    def _survivors(self, x: Tensor, y: Tensor) -> float:
        """Share of images that are right after a short attack."""
        defence, threat = self.work.defence, self.work.config.threat
        if not len(x) or not defence.differentiable:
            return 0.5  # nothing to see: half is left, say
        level, draws = ("eot", 4) if defence.stochastic else ("single", 1)
        target = expected(KNOWLEDGE[level](defence, self._source(), draws), "loss")
        attacked = _SHORT(target, x, y, threat, self._source())
        with torch.no_grad():
            return float((defence(attacked, self._source()).argmax(1) == y).float().mean())

    def _prediction(self, defence: Defence) -> float:
        def predict() -> None:
            with torch.no_grad():
                defence(self.x, self._source())

        return self._seconds(("prediction",), predict)

    def _call(self, defence: Defence, level: str, draws: int, gradient: bool) -> float:
        target = KNOWLEDGE[level](defence, self._source(), draws)

        def call() -> None:
            if gradient:
                input_gradient(target, self.x, self.y, LOSSES["ce"])
                return
            with torch.no_grad():
                target(self.x)

        return self._seconds((id(defence), level, draws, gradient), call)

    def _seconds(self, key: Any, call: Callable[[], None]) -> float:
        """Core-seconds an image of a call, which is timed once."""
        if key not in self._known:
            call()  # the first of a shape is slower
            on_gpu = self.x.device.type != "cpu"
            clock = time.perf_counter if on_gpu else time.process_time
            begun = clock()
            call()
            if self.x.device.type == "cuda":
                torch.cuda.synchronize()
            self._known[key] = (clock() - begun) / len(self.x)
        return self._known[key]

    def _source(self) -> torch.Generator:
        return seeding.generator(0, "plan", device=self.x.device)
