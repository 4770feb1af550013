"""The units of an evaluation, a task and a batch each: run on an executor, kept, and resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from alp.evaluation.tasks import Part, Task
from alp.executors import Note
from alp.executors.shares import Share
from alp.executors.units import run_units
from alp.records.parts import Begun, FinishedBatches

if TYPE_CHECKING:
    from alp.data import Images

Progress = Callable[[str, float, float], object]
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
        every: Sequence[Unit],
        progress: Progress,
    ) -> None:
        """``rate``: seconds that a draw of an image takes, with a gradient and without one;
        ``every``: all units."""
        self._each = [task.cost[0] * rate[0] + task.cost[1] * rate[1] for task in tasks]
        self._names = [task.name for task in tasks]
        self._total = sum(map(self._seconds, every))
        self._done = 0.0
        self._progress = progress
        progress("start", 0.0, self._total)

    def add(self, unit: Unit) -> None:
        """``unit`` is done."""
        self._done += self._seconds(unit)
        self._progress(self._names[unit.task], self._done, self._total)

    def _seconds(self, unit: Unit) -> float:
        return self._each[unit.task] * len(unit.rows)


def units(tasks: Sequence[Task], images: int, batch_size: int) -> list[Unit]:
    """All units, task by task."""
    return [
        Unit(number, batch, start, min(start + batch_size, count))
        for number, task in enumerate(tasks)
        for count in [min(task.images, images)]
        for batch, start in enumerate(range(0, count, batch_size))
    ]


def share_of(share: Share | None, tasks: Sequence[Task], every: Sequence[Unit]) -> set[Unit]:
    """The units of a share; without one, all. What has to see other tasks' columns stays with
    them."""
    if share is None:
        return set(every)
    free = {number for number, task in enumerate(tasks) if not task.after}
    free -= set(range(max((task.after for task in tasks), default=0)))

    def group(unit: Unit) -> tuple[int, int]:
        return (unit.task if unit.task in free else -1, unit.batch)

    return share.part(every, group, lambda unit: sum(tasks[unit.task].cost) * len(unit.rows))


def run_tasks(
    tasks: Sequence[Task],
    every: Sequence[Unit],
    executor: Executor,
    do: Callable[[Unit, list[Part], FinishedBatches | None], tuple[Part, bool]],
    finished: FinishedBatches | None,
    tracker: Tracker,
    note: Note,
) -> dict[tuple[int, int], Part]:
    """Task and batch of each of the units ``every`` to its columns.

    A unit starts when the units of its batch that its task has to see are done.

    Args:
        executor: what runs ``do(unit, parts of the earlier tasks, finished)``, which gives the
            part, and whether it is kept already.
        finished: where finished parts are kept and found.
        note: told in a sentence which unit is done again.
    """
    kept = finished.all() if finished else {}
    parts: dict[tuple[int, int], Part] = {}
    waiting: dict[int, list[Unit]] = {}
    for unit in every:
        part = kept.get((_file(unit), unit.batch))
        if part is None:
            waiting.setdefault(unit.batch, []).append(unit)
        else:
            parts[unit.task, unit.batch] = part
            tracker.add(unit)

    def seen(unit: Unit) -> list[tuple[int, int]]:
        return [(number, unit.batch) for number in range(tasks[unit.task].after)]

    def ready(batch: int) -> list[Unit]:
        own = waiting.get(batch, [])
        found = [unit for unit in own if all(key in parts for key in seen(unit))]
        waiting[batch] = [unit for unit in own if unit not in found]
        return found

    def submit(unit: Unit) -> Future[tuple[Part, bool]]:
        return executor.submit(do, unit, [parts[key] for key in seen(unit)], finished)

    def keep(unit: Unit, result: tuple[Part, bool]) -> list[Unit]:
        part, is_kept = result
        if finished and not is_kept:
            finished.save(unit.batch, part, _file(unit))
        parts[unit.task, unit.batch] = part
        tracker.add(unit)
        return ready(unit.batch)

    def name(unit: Unit) -> str:
        return f"{tasks[unit.task].name!r} on images {unit.start} to {unit.stop - 1}"

    begun = [unit for batch in list(waiting) for unit in ready(batch)]
    run_units(executor, begun, submit, keep, name, note)
    return parts


def begun_here(unit: Unit, finished: FinishedBatches | None) -> Begun | None:
    """Where the steps of a unit are kept, if the folder is seen from here."""
    if finished is None or not finished.seen():
        return None
    return finished.begun(unit.batch, _file(unit))


def kept_here(unit: Unit, part: Part, finished: FinishedBatches | None) -> bool:
    """Keep a part where it was made, if the folder is seen from there; whether it was."""
    if finished is None or not finished.seen():
        return False
    finished.save(unit.batch, part, _file(unit))
    return True


def missing(every: Sequence[Unit], finished: FinishedBatches) -> int:
    """How many units are not done."""
    kept = set(finished.names().values())
    return sum((_file(unit), unit.batch) not in kept for unit in every)


def joined(tasks: Sequence[Task], parts: Mapping[tuple[int, int], Part], data: Images) -> Part:
    """The columns of all tasks, one row an image; NaN where a task did not look at all images."""
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
