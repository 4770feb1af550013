"""Shares of the units: what one of several commands does that work into one folder.

Nobody has to start, or to finish, before anybody else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from alp.config import digest
from alp.errors import AlpError, ConfigError

T = TypeVar("T")

_REPAIR = "give K/N, such as 1/3, or auto in an array of jobs"


class ShareDone(AlpError):
    """A share has done its part. There is no record yet."""

    @classmethod
    def of(cls, share: Share, name: str, done: int, every: int, left: int) -> ShareDone:
        """It did ``done`` of ``every`` unit, of which ``left`` are missing."""
        rest = f"{left} are missing" if left else "none is missing"
        return cls(f"share {share} of {name} is done, {done} of {every} units; {rest}")


@dataclass(frozen=True)
class Share:
    """The share ``number`` of ``count``."""

    number: int
    """From 1."""
    count: int
    """Of all shares."""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(f"the share is {self.number}/{self.count}; {_REPAIR}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def of(cls, text: str | None, environment: Mapping[str, str] = os.environ) -> Share | None:
        """The share that ``text`` says, or the setting ALP_SHARE; None where neither does.

        ``K/N`` is one of N, ``all`` no share whatever the setting. ``auto`` reads number and count
        from an array of Slurm jobs, ``auto/N`` the number from it or from an indexed job of
        Kubernetes, which does not say the count.

        Raises:
            ConfigError: it says no share, or there is no array of jobs.
        """
        text = text or environment.get("ALP_SHARE")
        if text in (None, "", "all"):
            return None
        assert text is not None
        found = re.fullmatch(r"(auto|[0-9]{1,9})(?:/([0-9]{1,9}))?", text)
        if not found or (found[1] != "auto" and found[2] is None):
            raise ConfigError(f"the share is {text[:100]!r}; {_REPAIR}")
        if found[1] != "auto":
            return cls(int(found[1]), int(found[2]))
        number, count = _place(environment)
        if found[2] is not None:
            count = int(found[2])
        if count is None:
            raise ConfigError(
                "the array of jobs does not say how many there are; give their number, such as "
                "--share auto/8"
            )
        return cls(number, count)

    def owns(self, *names: str) -> bool:
        """Whether a piece of work of that name is this share's."""
        return int(digest(names), 16) % self.count == self.number - 1

    def part(
        self, units: Iterable[T], group: Callable[[T], Hashable], cost: Callable[[T], float]
    ) -> set[T]:
        """The units of this share. Those of a group stay together; groups are dealt out, the most
        expensive first, each to the share that has least."""
        groups: dict[Any, list[T]] = {}
        for unit in units:
            groups.setdefault(group(unit), []).append(unit)
        costs = {key: sum(map(cost, own)) for key, own in groups.items()}
        loads = [0.0] * self.count
        mine: set[T] = set()
        for key in sorted(groups, key=lambda each: -costs[each]):
            least = loads.index(min(loads))
            loads[least] += costs[key]
            if least == self.number - 1:
                mine.update(groups[key])
        return mine


def require_folder(share: Share | None, folder: object) -> None:
    """Refuse a share without a ``folder`` to put its units into.

    Raises:
        ConfigError: so it is.
    """
    if share is not None and folder is None:
        raise ConfigError(f"the share {share} needs a resume folder that all shares have")


def _place(environment: Mapping[str, str]) -> tuple[int, int | None]:
    """Number, from 1, and count of this job in an array of jobs.

    Raises:
        ConfigError: there is no array, or its variables are no numbers.
    """

    def read(name: str) -> int | None:
        text = environment.get(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError as error:
            raise ConfigError(f"{name} is {text[:100]!r}, which is no number; {_REPAIR}") from error

    index = read("SLURM_ARRAY_TASK_ID")
    if index is not None:
        first = read("SLURM_ARRAY_TASK_MIN") or 0
        step = read("SLURM_ARRAY_TASK_STEP") or 1
        return (index - first) // step + 1, read("SLURM_ARRAY_TASK_COUNT")
    index = read("JOB_COMPLETION_INDEX")
    if index is None:
        raise ConfigError(
            "the share is 'auto', but there is neither SLURM_ARRAY_TASK_ID nor "
            f"JOB_COMPLETION_INDEX; {_REPAIR}"
        )
    return index + 1, None
