"""What is to be purified in folders that change."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from alp.serve.copies import read_stamp, stamp_of
from alp.serve.jobs import Job, find_jobs
from alp.serve.purifying import Outcome

SETTLED = 2 * 10**9
"""Nanoseconds for which a picture has to be left alone, since it may still be written, and two
changes in a shorter time may leave one time of modification."""


class Watch:
    """Folders, and the pictures in them that have no up-to-date copy.

    A copy is up to date if its stamp says that it was made from the picture as it is, by the
    recipe. So what is done is seen on disk: nothing is kept in memory but what was refused or
    skipped, which has no copy.
    """

    pause = 1.0
    """Seconds between two sweeps."""

    def __init__(self, folders: Sequence[Path], out: Path, recipe: str) -> None:
        self._folders, self._out, self._recipe = folders, out, recipe
        self._without: dict[tuple[Path, Path], tuple[str, bool]] = {}

    @property
    def refused(self) -> int:
        """How many pictures are refused as they are now."""
        return sum(refused for _, refused in self._without.values())

    def sweep(self) -> Iterator[Job]:
        """What to purify, or to refuse or skip for the first time, now."""
        now = time.time_ns()
        for key in [key for key in self._without if not os.path.lexists(key[0])]:
            del self._without[key]
        for job in find_jobs(self._folders, self._out):
            state, modified_ns = self._look(job)
            if state is None:
                continue
            key = (job.picture, job.target)
            if key in self._without:
                if self._without[key][0] == state:
                    continue
                del self._without[key]
            if modified_ns is None or (
                abs(now - modified_ns) >= SETTLED and read_stamp(job.target) != state
            ):
                yield job

    def remember(self, outcome: Outcome) -> None:
        """Take note of what became of a picture, so that it is not tried again as it is."""
        job = outcome.job
        reason = outcome.refused or job.skipped
        if reason is not None:
            state = outcome.stamp or job.refused or job.skipped or self._look(job)[0]
            if state is not None:
                refused = outcome.refused is not None
                self._without[job.picture, job.target] = (state, refused)

    def _look(self, job: Job) -> tuple[str | None, int | None]:
        """What a job is now: its stamp and time of modification, or in words why there is none;
        None if the picture has gone."""
        if job.refused or job.skipped:
            return job.refused or job.skipped, None
        try:
            return stamp_of(job.picture, self._recipe)
        except OSError as error:
            return error.strerror if os.path.lexists(job.picture) else None, None
