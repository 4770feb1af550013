"""The units of an evaluation, a task and a batch each: run on an executor, kept, and resumed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alp.evaluation.tasks import Part, Task
from alp.records.parts import FinishedBatches

if TYPE_CHECKING:
    from alp.data import Images

Progress = Callable[[str, float, float], None]
"""Called with (what is being done, seconds of work done, seconds of all work), both estimated; the
first call, before anything starts, is the estimate."""


@dataclass(frozen=True, order=True)
class Unit:
    """A task on a batch."""

    task: int
    """Number of the task."""
    batch: int
    """Number of the batch."""
    start: int
    """First row of the batch."""
    stop: int
    """Row after the last one."""

    @property
    def rows(self) -> range:
        """The rows of the batch."""
        return range(self.start, self.stop)


class Tracker:
    """How much of the work is done, in estimated seconds."""

    def __init__(
        self,
        tasks: Sequence[Task],
        rate: tuple[float, float],
        images: Sequence[int],
        progress: Progress,
    ) -> None:
        """``rate``: seconds that a draw of an image takes, with a gradient and without one;
        ``images``: how many each task looks at."""
        self._each = [task.cost[0] * rate[0] + task.cost[1] * rate[1] for task in tasks]
        self._names = [task.name for task in tasks]
        self._total = sum(map(operator.mul, self._each, images))
        self._done = 0.0
        self._progress = progress
        progress("start", 0.0, self._total)

    def add(self, unit: Unit) -> None:
        """``unit`` is done."""
        self._done += self._each[unit.task] * len(unit.rows)
        self._progress(self._names[unit.task], self._done, self._total)


def units(tasks: Sequence[Task], images: int, batch_size: int) -> list[Unit]:
    """All units, task by task."""
    return [
        Unit(number, batch, start, min(start + batch_size, count))
        for number, task in enumerate(tasks)
        for count in [min(task.images, images)]
        for batch, start in enumerate(range(0, count, batch_size))
    ]


def run_units(
    tasks: Sequence[Task],
    data: Images,
    batch_size: int,
    executor: Executor,
    do: Callable[[Unit, list[Part]], Part],
    finished: FinishedBatches | None,
    tracker: Tracker,
) -> Part:
    """The columns of all tasks, one row an image; NaN where a task did not look at all images.

    A unit starts when the units of its batch that its task has to see are done.

    Args:
        executor: what runs ``do(unit, parts of the earlier tasks)``.
        finished: where finished parts are kept and found.
    """
    parts: dict[tuple[int, int], Part] = {}
    waiting: list[Unit] = []
    for unit in units(tasks, len(data), batch_size):
        part = finished.load(unit.batch, _file(unit)) if finished else None
        if part is None:
            waiting.append(unit)
        else:
            parts[unit.task, unit.batch] = part
            tracker.add(unit)
    running: dict[Future[Part], Unit] = {}
    most = getattr(executor, "window", 64)
    try:
        while waiting or running:
            for unit in list(waiting):
                if len(running) >= most:
                    break
                keys = [(number, unit.batch) for number in range(tasks[unit.task].after)]
                if all(key in parts for key in keys):
                    waiting.remove(unit)
                    running[executor.submit(do, unit, [parts[key] for key in keys])] = unit
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                unit = running.pop(future)
                part = future.result()
                if finished:
                    finished.save(unit.batch, part, _file(unit))
                parts[unit.task, unit.batch] = part
                tracker.add(unit)
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    return _joined(tasks, parts, data)


def _joined(tasks: Sequence[Task], parts: Mapping[tuple[int, int], Part], data: Images) -> Part:
    # a copy: torch moves tensors that it sends to a process, and views of them are lost
    columns: Part = {"index": np.arange(len(data)), "label": data.labels.numpy().copy()}
    for number in range(len(tasks)):
        own = [part for (task, _), part in sorted(parts.items(), key=_place) if task == number]
        for name in own[0]:
            columns[name] = _padded(np.concatenate([part[name] for part in own]), len(data))
    return columns


def _place(item: tuple[tuple[int, int], Part]) -> tuple[int, int]:
    return item[0]


def _file(unit: Unit) -> str:
    return f"unit{unit.task:02d}"


def _padded(values: NDArray[Any], count: int) -> NDArray[Any]:
    if len(values) == count:
        return values
    whole = np.full(count, np.nan)
    whole[: len(values)] = values
    return whole
