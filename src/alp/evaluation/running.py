"""The units of an evaluation, batch by batch: kept, resumed, and shared out over processes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from alp.errors import ConfigError
from alp.evaluation.tasks import Part, Unit
from alp.records.parts import FinishedBatches

if TYPE_CHECKING:
    from alp.data import Images

Progress = Callable[[str, float, float], None]
"""Called with (what is being done, seconds of work done, seconds of all work), both estimated; the
first call, before anything starts, is the estimate."""


@dataclass(frozen=True)
class Share:
    """Which of several processes this one is; each evaluates its share of the batches."""

    rank: int = 0
    """Number of this process."""
    world: int = 1
    """How many there are."""
    wait: Callable[[], object] = lambda: None
    """Waits until all have come this far."""

    def batches(self, unit: Unit, data: Images, size: int) -> Iterator[tuple[int, range]]:
        """Number and rows of each batch of what ``unit`` looks at that is this process's."""
        images = min(unit.images, len(data))
        for batch, start in enumerate(range(0, images, size)):
            if batch % self.world == self.rank:
                yield batch, range(start, min(start + size, images))


class Meter:
    """How much of this process's work is done, in estimated seconds."""

    def __init__(
        self,
        units: Sequence[Unit],
        rate: tuple[float, float],
        images: Sequence[int],
        progress: Progress,
    ) -> None:
        """``rate``: seconds that a draw of an image takes, with a gradient and without one;
        ``images``: how many this process has to do, for each unit."""
        self._each = [unit.work[0] * rate[0] + unit.work[1] * rate[1] for unit in units]
        self._total = sum(map(operator.mul, self._each, images))
        self._done = 0.0
        self._progress = progress
        progress("start", 0.0, self._total)

    def add(self, number: int, unit: Unit, images: int) -> None:
        """Unit ``number`` is done with ``images`` more."""
        self._done += self._each[number] * images
        self._progress(unit.name, self._done, self._total)


def run_all(
    units: Sequence[Unit],
    data: Images,
    batch_size: int,
    device: torch.device | str,
    finished: FinishedBatches | None,
    share: Share,
    meter: Meter,
) -> Part:
    """The columns of all units, one row an image; NaN where a unit did not look at all images.

    Raises:
        ConfigError: another process's part is not in the folder.
    """
    parts: dict[tuple[int, int], Part] = {}
    for number, unit in enumerate(units):
        for batch, rows in share.batches(unit, data, batch_size):
            part = finished.load(batch, _file(number)) if finished else None
            if part is None:
                x, y = (each.to(device) for each in data.batch(torch.arange(rows.start, rows.stop)))
                earlier = [parts[before, batch] for before in range(unit.after)]
                part = unit.run(x, y, batch, earlier)
                if finished:
                    finished.save(batch, part, _file(number))
            parts[number, batch] = part
            meter.add(number, unit, len(rows))
    share.wait()
    columns: Part = {"index": np.arange(len(data)), "label": data.labels.numpy()}
    for number, unit in enumerate(units):
        own = [
            parts[number, batch]
            if (number, batch) in parts
            else _others(finished, number, unit, batch)
            for batch, _ in Share().batches(unit, data, batch_size)
        ]
        for name in own[0]:
            columns[name] = _padded(np.concatenate([part[name] for part in own]), len(data))
    return columns


def _file(number: int) -> str:
    return f"unit{number:02d}"


def _others(finished: FinishedBatches | None, number: int, unit: Unit, batch: int) -> Part:
    part = finished.load(batch, _file(number)) if finished else None
    if part is None:
        raise ConfigError(
            f"the resume folder lacks {unit.name!r} of batch {batch}, which another process made; "
            "give all processes one folder"
        )
    return part


def _padded(values: NDArray[Any], count: int) -> NDArray[Any]:
    if len(values) == count:
        return values
    whole = np.full(count, np.nan)
    whole[: len(values)] = values
    return whole
