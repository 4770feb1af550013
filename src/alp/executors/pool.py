"""Workers at the other end of a pipe, which are started again when they die."""

from __future__ import annotations

import queue
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from alp.errors import ConfigError
from alp.executors import WorkerLost
from alp.executors.units import Prepared

T = TypeVar("T")


class Worker(ABC):
    """A process that does the units that come through ``pipe``, by :func:`work`."""

    pipe: Connection
    """This end of it."""

    def __init__(self) -> None:
        self._has: set[str] = set()

    def do(self, unit: Unit) -> None:
        """Have ``unit`` done and give its future what came of it.

        Raises:
            EOFError, OSError: the process has died.
        """
        fn, args, kwargs = unit.call
        key = ""
        if isinstance(fn, Prepared):
            key = fn.key
            fn = fn.known() if key in self._has else fn
        try:
            self.pipe.send((fn, args, kwargs))
        except OSError:
            raise
        except Exception as error:
            unit.future.set_exception(
                ConfigError(
                    f"other processes need a target that can be pickled, which this one cannot "
                    f"({error}); use one process"
                )
            )
            return
        good, result = self.pipe.recv()
        if good:
            self._has = {key} if key else self._has
            unit.future.set_result(result)
        else:
            unit.future.set_exception(result)

    @abstractmethod
    def end(self) -> str:
        """Close the pipe, which ends the process; what became of it in words."""

    @abstractmethod
    def kill(self) -> None:
        """End the process at once."""


class Unit:
    """A call, and where its result goes."""

    def __init__(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], future: Any
    ) -> None:
        self.call = (fn, args, kwargs)
        self.future: Future[Any] = future


class Pool(Executor, ABC):
    """Workers that do one unit at a time. One that dies is replaced; its unit's future gets a
    :class:`WorkerLost` that says which worker it was, and what it died of."""

    def __init__(self, workers: int) -> None:
        """Start nothing yet: workers start with the first units.

        Raises:
            ConfigError: ``workers`` is below 1.
        """
        if workers < 1:
            raise ConfigError(f"the number of processes is {workers}; give 1 or more")
        self.workers = workers
        self.window = 2 * workers  # no worker waits for its next unit
        self._units: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._living: set[Worker] = set()
        self._closed = self._cancelled = False

    @abstractmethod
    def start(self, name: str) -> Worker:
        """A new worker."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        if self._closed:
            raise RuntimeError("the executor is shut down")
        future: Future[T] = Future()
        self._units.put(Unit(fn, args, kwargs, future))
        if len(self._threads) < self.workers:
            name = f"worker {len(self._threads) + 1}"
            thread = threading.Thread(target=self._serve, args=(name,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._closed = True
        if cancel_futures:
            self._cancelled = True
            while True:
                try:
                    unit = self._units.get_nowait()
                except queue.Empty:
                    break
                if unit:
                    unit.future.cancel()
            for worker in list(self._living):
                worker.kill()
        for _ in self._threads:
            self._units.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _serve(self, name: str) -> None:
        """Hand units to one worker after another, until there are no more."""
        worker: Worker | None = None
        while (unit := self._units.get()) is not None:
            if not unit.future.set_running_or_notify_cancel():
                continue
            try:
                if worker is None:
                    worker = self.start(name)
                    self._living.add(worker)
                    if self._cancelled:  # while it started, so that shutdown missed it
                        worker.kill()
                worker.do(unit)
            except (EOFError, OSError):
                assert worker is not None
                cause = worker.end()
                self._living.discard(worker)
                worker = None
                unit.future.set_exception(WorkerLost(f"{name} {cause}"))
            except Exception as error:  # no worker could be started, or no answer be read
                unit.future.set_exception(error)
        if worker is not None:
            worker.end()
            self._living.discard(worker)


def work(pipe: Connection) -> None:
    """What a worker does: units until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it decides
    try:
        while True:
            try:
                fn, args, kwargs = pipe.recv()
            except (EOFError, OSError):
                raise
            except Exception as error:
                answer: tuple[bool, Any] = (False, _not_found(error))
            else:
                try:
                    answer = (True, fn(*args, **kwargs))
                except Exception as error:
                    answer = (False, error)
            try:
                pipe.send(answer)
            except OSError:
                raise
            except Exception as error:  # of pickle, which has no common class for them
                pipe.send((False, RuntimeError(f"{answer[1]!r} cannot be sent back ({error})")))
    except (EOFError, OSError):
        pass  # nobody wants more


def _not_found(error: Exception) -> ConfigError:
    """What is said where a worker cannot import what it is sent."""
    return ConfigError(
        f"a worker cannot import what it is to do ({error}); put what your program defines in a "
        "file, and what it does under if __name__ == '__main__'"
    )
