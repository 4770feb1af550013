"""The units of a certification, a batch of images each: voted on here or in other processes, kept
when they are finished, and found again."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from alp.data import loaded as loaded_data
from alp.defences.lattice import to_lattice
from alp.defences.packaged import loaded
from alp.defences.plan import SamplingPlan, State
from alp.defences.sending import reference
from alp.defences.smoothed import Smoothed, VoteEngine, certify_points
from alp.evaluation.crew import Crew
from alp.evaluation.probe import require_same_numbers
from alp.executors import Note, SerialExecutor
from alp.executors.shares import Share
from alp.executors.units import run_units
from alp.records.parts import FinishedBatches
from alp.records.record import Columns, versions

if TYPE_CHECKING:
    from alp.data import Images

Progress = Callable[[int, int, int], object]
"""Called with (images that are finished, all images, votes that were cast since)."""

PART = "certificates"


@dataclass(frozen=True)
class Voter:
    """A smoothed classifier as it is sent to another process."""

    base: Any
    """Its classifier, or where that was loaded from."""
    whole: bool
    """Whether the smoothed classifier itself was loaded from there."""
    settings: Mapping[str, Any]
    """Noise level, draws and precision."""
    engine: VoteEngine | None
    """What computes the votes, without the classifier; None for torch."""

    @classmethod
    def of(cls, smoothed: Smoothed) -> Voter:
        """The voter of a smoothed classifier."""
        sent = reference(smoothed)
        whole = sent is not smoothed
        base = sent if whole else reference(smoothed.classifier)
        engine = smoothed.engine and smoothed.engine.made_of(None)
        return cls(base, whole, smoothed.settings, engine)

    def smoothed(self) -> Smoothed:
        """The smoothed classifier."""
        found = loaded(self.base, "cpu")
        base = found.classifier if self.whole else found
        engine = self.engine and self.engine.made_of(base)
        return Smoothed(base, **self.settings, engine=engine)


def voted_by(smoothed: Smoothed) -> dict[str, Any]:
    """What computes the votes here, as the header of a record says it."""
    return {
        "threads": torch.get_num_threads(),
        **smoothed.computed,
        "device": "cpu",
        "processor": [platform.machine(), torch.backends.cpu.get_cpu_capability()],
        "versions": versions(),
    }


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

    def made_of(self) -> tuple[Any, ...]:
        """What another process makes it of."""
        data = self.data.reference()
        return Voter.of(self.smoothed), data, self.plan, self.seed, self.batch_size, self.earlier

    def begun(self, batch: int) -> int:
        """Votes that were cast on a batch earlier."""
        return sum(self.earlier[row].draws for row in self.rows(batch)) if self.earlier else 0


def count_all(
    ballot: Ballot,
    finished: FinishedBatches | None,
    crew: Crew,
    share: Share | None,
    progress: Progress,
    note: Note,
) -> dict[int, Columns]:
    """Number of each batch of the share to its columns.

    Args:
        finished: where finished batches are kept and found.
        crew: who votes.
        share: which of the batches are voted on; without one, all.
        note: told in a sentence which batch is done again.
    """
    parts: dict[int, Columns] = {}
    every = range(len(ballot))
    mine = share.part(every, _itself, lambda batch: len(ballot.rows(batch))) if share else every
    total, done = sum(len(ballot.rows(batch)) for batch in mine), 0

    def add(batch: int, part: Columns, votes: int) -> None:
        nonlocal done
        parts[batch] = part
        done += len(ballot.rows(batch))
        progress(done, total, votes)

    kept = finished.all() if finished else {}
    waiting = []
    for batch in mine:
        part: Columns | None = kept.get((PART, batch))
        if part is None:
            waiting.append(batch)
        else:
            add(batch, part, 0)

    told: Callable[[int], object] | None = None

    def _told(votes: int) -> None:
        try:
            progress(done, total, votes)
        except Exception as error:  # the caller's, not the unit's, which would be done again
            raise _Stopped(error) from error

    def keep(batch: int, result: tuple[Columns, bool]) -> list[int]:
        part, is_kept = result
        if finished and not is_kept:
            finished.save(batch, part, PART)
        add(batch, part, 0 if told else int(part["draws"].sum()) - ballot.begun(batch))
        return []

    def name(batch: int) -> str:
        rows = ballot.rows(batch)
        return f"images {rows.start} to {rows.stop - 1}"

    with crew.at_work(ballot, partial(_again, ballot.made_of(), voted_by(ballot.smoothed))) as (
        executor,
        prepared,
    ):
        vote = prepared(_vote)
        if isinstance(executor, SerialExecutor):  # nothing else can be called after each block
            told = _told

        def submit(batch: int) -> Future[tuple[Columns, bool]]:
            return executor.submit(vote, batch, finished, told)

        try:
            run_units(executor, waiting, submit, keep, name, note)
        except _Stopped as stopped:
            raise stopped.error from None
    return parts


class _Stopped(BaseException):
    """The caller's progress raised an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def joined(parts: Mapping[int, Columns]) -> dict[str, NDArray[Any]]:
    """The columns of all images."""
    return {key: np.concatenate([parts[each][key] for each in sorted(parts)]) for key in parts[0]}


def _vote(
    ballot: Ballot,
    batch: int,
    finished: FinishedBatches | None,
    report: Callable[[int], object] | None,
) -> tuple[Columns, bool]:
    part = ballot.vote(batch, report or (lambda votes: None))
    if finished is None or not finished.seen():
        return part, False
    finished.save(batch, part, PART)
    return part, True


def _again(made_of: tuple[Any, ...], expected: Mapping[str, Any]) -> Ballot:
    """A worker's ballot.

    Raises:
        ConfigError: this worker would make another record than the process that sent for it.
        CheckpointError, DataError: it has other weights or data.
    """
    sent, data, *others = made_of
    ballot = Ballot(sent.smoothed(), loaded_data(data), *others)
    require_same_numbers(expected, voted_by(ballot.smoothed))
    return ballot


def _itself(batch: int) -> int:
    return batch


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
