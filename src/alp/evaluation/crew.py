"""Who does the units of an evaluation or a certification."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from alp.executors import Workers
from alp.executors.processes import Processes
from alp.executors.units import Prepared, held


@dataclass(frozen=True)
class Crew:
    """Workers, and how many threads each has. The default is this process."""

    executor: Executor | None = None
    """Somebody's executor, which is left open; or None."""
    count: int = 1
    """Workers that ``workers`` starts."""
    threads: int | None = None
    """Processor threads of each; None for what the executor's settings say."""
    workers: Workers = field(default_factory=Processes)
    """Where there is no executor, what starts one."""

    @property
    def size(self) -> int:
        """Processor threads of each worker."""
        if self.threads is not None:
            return self.threads
        return self.workers.threads(self.count) if self.executor is None else 1

    @contextmanager
    def at_work(
        self, value: Any, make: Callable[[], Any]
    ) -> Iterator[tuple[Executor, Callable[[Callable[..., Any]], Prepared]]]:
        """The executor, and what makes of a function of ``value`` one that any of its workers can
        call; another process makes the value by ``make``."""
        key = secrets.token_hex(8)
        started: AbstractContextManager[Executor] = (
            self.workers.start(self.count, self.size)
            if self.executor is None
            else nullcontext(self.executor)
        )
        with held(key, value), started as executor:
            yield executor, lambda do: Prepared(key, make, do, self.size)
