"""What is to be purified in folders that change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from alp.workflows.pictures import Job, find_jobs, modified_ns
from alp.workflows.purifying import Outcome

SETTLED = 2 * 10**9
"""Nanoseconds for which a picture has to be left alone, since it may still be written; two changes
are told apart, on file systems with coarse times too, as long as they are further apart."""


class Watch:
    """Folders, and the pictures in them that have no up-to-date copy.

    A copy has its picture's time of modification, so that what is done is seen on disk: nothing
    is kept in memory but the refused pictures, which have no copy.
    """

    pause = 1.0
    """Seconds between two sweeps."""

    def __init__(self, folders: Sequence[Path], out: Path) -> None:
        self._folders, self._out = folders, out
        self._refused: dict[Path, int] = {}

    @property
    def refused(self) -> int:
        """How many pictures are refused as they are now."""
        return len(self._refused)

    def sweep(self) -> Iterator[Job]:
        """The pictures to purify now.

        Raises:
            ConfigError: two pictures would get one name.
        """
        now = time.time_ns()
        self._refused = {each: at for each, at in self._refused.items() if modified_ns(each)}
        for job in find_jobs(self._folders, self._out):
            changed = modified_ns(job.picture)
            if changed is None or abs(now - changed) < SETTLED:
                continue
            done = self._refused.get(job.picture, modified_ns(job.target))
            if done is None or abs(done - changed) >= SETTLED:
                yield job

    def remember(self, outcome: Outcome) -> None:
        """Take note of what became of a picture, so that it is not tried again as it is."""
        if outcome.refused is None or outcome.modified_ns is None:
            self._refused.pop(outcome.job.picture, None)
        else:
            self._refused[outcome.job.picture] = outcome.modified_ns
