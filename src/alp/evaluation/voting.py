"""The units of a certification, a batch of images each: voted on here or in other processes, kept
when they are finished, and found again."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import as_completed
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from alp.defences.lattice import to_lattice
from alp.defences.plan import SamplingPlan, State
from alp.defences.smoothed import Smoothed, certify_points
from alp.executors import ProcessExecutor
from alp.records.parts import FinishedBatches
from alp.records.record import Columns

if TYPE_CHECKING:
    from alp.data import Images

Progress = Callable[[int, int, int], object]
"""Called with (images that are finished, all images, votes that were cast since)."""

_PART = "certificates"


class Ballot:
    """Everything that a process needs to vote on a batch."""

    def __init__(
        self,
        smoothed: Smoothed,
        data: Images,
        plan: SamplingPlan,
        seed: int,
        batch_size: int,
        earlier: list[State] | None = None,
    ) -> None:
        """``earlier``: of each image, what earlier votes gave, to go on from."""
        self.smoothed, self.data, self.plan = smoothed, data, plan
        self.seed, self.batch_size, self.earlier = seed, batch_size, earlier

    def __len__(self) -> int:
        """The number of batches."""
        return math.ceil(len(self.data) / self.batch_size)

    def rows(self, batch: int) -> range:
        """The images of a batch."""
        first = batch * self.batch_size
        return range(first, min(first + self.batch_size, len(self.data)))

    def vote(self, batch: int, report: Callable[[int], object] = lambda votes: None) -> Columns:
        """Vote on a batch; ``report`` is told the votes of each block."""
        rows = slice(self.rows(batch).start, self.rows(batch).stop)
        points, _ = to_lattice(self.data.images[rows])
        begun = self.earlier[rows] if self.earlier else None
        states = certify_points(self.smoothed, points, self.plan, self.seed, begun, report)
        return _columns(states, self.plan)

    def begun(self, batch: int) -> int:
        """Votes that were cast on a batch earlier."""
        return sum(self.earlier[row].draws for row in self.rows(batch)) if self.earlier else 0


def count_all(
    ballot: Ballot,
    finished: FinishedBatches | None,
    processes: int,
    progress: Progress,
    note: Callable[[str], object],
) -> Columns:
    """The columns of all images.

    Args:
        finished: where finished batches are kept and found.
        processes: how many vote, each with one thread where there are several.
        note: told in a sentence when a worker process died.
    """
    parts: dict[int, Columns] = {}
    total, done = len(ballot.data), 0

    def add(batch: int, part: Columns, votes: int) -> None:
        nonlocal done
        parts[batch] = part
        done += len(ballot.rows(batch))
        progress(done, total, votes)

    waiting = []
    for batch in range(len(ballot)):
        part: Columns | None = finished.load(batch, _PART) if finished else None
        if part is None:
            waiting.append(batch)
        else:
            add(batch, part, 0)

    def keep(batch: int, part: Columns, votes: int) -> None:
        if finished:
            finished.save(batch, part, _PART)
        add(batch, part, votes)

    if processes == 1:
        for batch in waiting:
            keep(batch, ballot.vote(batch, lambda votes: progress(done, total, votes)), 0)
    else:
        with ProcessExecutor(processes, partial(_begin, ballot), note) as pool:
            futures = {pool.submit(_vote, batch): batch for batch in waiting}
            try:
                for future in as_completed(futures):
                    batch, part = futures[future], future.result()
                    keep(batch, part, int(part["draws"].sum()) - ballot.begun(batch))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return {key: np.concatenate([parts[each][key] for each in sorted(parts)]) for key in parts[0]}


_ballots: list[Ballot] = []
"""What this worker process votes on."""


def _begin(ballot: Ballot) -> None:
    torch.set_num_threads(1)
    _ballots[:] = [ballot]


def _vote(batch: int) -> Columns:
    return _ballots[0].vote(batch)


def _columns(states: list[State], plan: SamplingPlan) -> Columns:
    votes = torch.stack([state.votes for state in states]).numpy()
    stopped = ["settled" if plan.decided(state) else "budget" for state in states]
    columns: dict[str, Any] = {
        "selected": np.array([state.selected for state in states]),
        "draws": np.array([state.draws for state in states]),
        "radius": np.array([state.radius for state in states]),
        "refuted": np.array([state.refuted for state in states]),
        "stopped": np.array(stopped),
        **{f"votes_{number}": votes[:, number] for number in range(votes.shape[1])},
    }
    return columns
