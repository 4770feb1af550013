"""Units of work on any executor: retried where a worker is lost, named where they keep failing."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from alp.errors import AlpError
from alp.executors import Note, WorkerLost, on_threads


class Ordered(Protocol):
    """What can be sorted, and is a key."""

    def __lt__(self, other: Any, /) -> bool: ...

    def __hash__(self) -> int: ...


U = TypeVar("U", bound=Ordered)
R = TypeVar("R")

ATTEMPTS = 3
"""How often a unit is started before it is given up."""


@dataclass(frozen=True)
class Prepared:
    """A function whose first argument is large, such as a model with its data: each process makes
    it once, from a small description, and keeps it for the next units.

    A process does one unit at a time, whatever the number of its threads: torch's number of threads
    and the random state that is lent to other libraries belong to the process.
    """

    key: str
    """Which argument it is."""
    make: Callable[[], Any] | None
    """Makes it; None where the process has it."""
    do: Callable[..., Any]
    """Called with it and with the arguments of the unit."""
    threads: int
    """Processor threads of torch."""

    def __call__(self, *args: Any) -> Any:
        with _one_at_a_time, on_threads(self.threads):
            if self.key not in _held:
                assert self.make is not None, "sent without its description"
                _held.clear()
                _held[self.key] = self.make()
            return self.do(_held[self.key], *args)

    def known(self) -> Prepared:
        """Itself for a process that has its argument."""
        return replace(self, make=None)


_held: dict[str, Any] = {}
"""What this process has made."""

_one_at_a_time = threading.Lock()


@contextmanager
def held(key: str, value: Any) -> Iterator[None]:
    """This process has made the argument ``key`` of units: ``value``."""
    _held[key] = value
    try:
        yield
    finally:
        _held.pop(key, None)


def run_units(
    executor: Executor,
    units: Iterable[U],
    submit: Callable[[U], Future[R]],
    keep: Callable[[U, R], Iterable[U]],
    name: Callable[[U], str],
    note: Note = lambda text: None,
) -> None:
    """Do all units, the smallest of those that may start first.

    A unit that fails is done again, ``ATTEMPTS`` times in all. Where that does not help, the others
    are done nevertheless. An error of alp's own says what the user has to change, and ends all.

    Args:
        executor: where they run; its ``window``, if it has one, is the number of units that are
            submitted at a time, and its ``tried`` the number of attempts an error stands for.
        units: those that may start at once.
        submit: starts a unit.
        keep: takes a unit with its result; returns the units that may start because of it.
        name: a unit in words.
        note: told in a sentence which unit is done again.

    Raises:
        AlpError: a unit raised it, or units failed each time; these are named.
    """
    ready = list(units)
    tries: dict[U, int] = {}
    failed: dict[U, str] = {}
    heapq.heapify(ready)
    running: dict[Future[R], U] = {}
    done: SimpleQueue[Future[R]] = SimpleQueue()
    most = getattr(executor, "window", 10**9)
    tried: Callable[[BaseException], int] = getattr(executor, "tried", lambda error: 1)
    try:
        while ready or running:
            while ready and len(running) < most:
                unit = heapq.heappop(ready)
                future = submit(unit)
                running[future] = unit
                future.add_done_callback(done.put)
            finished = done.get()
            unit = running.pop(finished)
            error = _error_of(finished)
            if error is None:
                for each in keep(unit, finished.result()):
                    heapq.heappush(ready, each)
                continue
            if isinstance(error, BrokenExecutor):
                raise AlpError(
                    f"the executor is broken ({error}); what is finished is kept: start another"
                ) from error
            if isinstance(error, AlpError) and not isinstance(error, WorkerLost):
                raise error
            tries[unit] = tries.get(unit, 0) + tried(error)
            reason = str(error) if isinstance(error, WorkerLost) else _words(error)
            if tries[unit] < ATTEMPTS:
                note(f"{name(unit)}: {reason}; its unit is done again")
                heapq.heappush(ready, unit)
            else:
                note(f"{name(unit)}: {reason}; its unit is given up")
                failed[unit] = reason
    except BaseException:
        for future in running:
            future.cancel()
        raise
    if failed:
        named = "; ".join(f"{name(unit)} ({reason})" for unit, reason in failed.items())
        raise AlpError(
            f"failed {ATTEMPTS} times: {named}. All that could be done without is done, and kept "
            "where there is a folder for it: remove the cause, and call again"
        )


def _error_of(future: Future[Any]) -> BaseException | None:
    try:
        return future.exception()
    except CancelledError:
        return WorkerLost("the engine cancelled it")


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
