"""Where units of work run: in this process, or in workers that are started again when they die.

Both are a ``concurrent.futures.Executor``: what takes one takes any.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

from alp.errors import AlpError, ConfigError

T = TypeVar("T")

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Variables by which a launcher numbers its processes; a process without them is alone."""

ATTEMPTS = 3
"""How often a unit is started before it is given up, where its worker dies each time."""


def is_first_process() -> bool:
    """Whether this process is the one that prints, evaluates and writes results."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def first_then_others(make: Callable[[], T]) -> T:
    """What ``make`` makes, in the first of several processes before the others."""
    from torch import distributed

    made = make() if is_first_process() else None
    if distributed.is_initialized():
        distributed.barrier()
    return make() if made is None else made


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Torch on so many threads. The number is the process's: lent, and put back."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def device_of(accelerator: str) -> str:
    """The device of an accelerator's name; ``auto`` is the GPU where there is one.

    Raises:
        ConfigError: this machine has no such device.
    """
    import torch

    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    devices = [*(name for name, there in here.items() if there), "cpu"]
    if accelerator == "auto" or (accelerator == "gpu" and len(devices) > 1):
        return devices[0]
    if accelerator not in devices:
        valid = ", ".join(["auto", *devices])
        raise ConfigError(f"this machine has no device {accelerator!r}; give one of: {valid}")
    return accelerator


class SerialExecutor(Executor):
    """Runs a unit when it is submitted."""

    window = 1
    """Units that are submitted at a time."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class ProcessExecutor(Executor):
    """Worker processes. Each first calls ``setup``, then does one unit at a time.

    A unit whose worker dies is done again by a new worker, ``ATTEMPTS`` times in all. ``note`` is
    told in a sentence which worker died, and of what. ``setup``, units and results are pickled.
    """

    def __init__(
        self,
        workers: int,
        setup: Callable[[], object],
        note: Callable[[str], object] = lambda text: None,
    ) -> None:
        """Start nothing yet: workers start with the first units.

        Raises:
            ConfigError: ``workers`` is below 1, or ``setup`` cannot be pickled.
        """
        if workers < 1:
            raise ConfigError(f"the number of processes is {workers}; give 1 or more")
        try:
            ForkingPickler.dumps(setup)
        except Exception as error:
            raise ConfigError(
                f"several processes need a target that can be pickled, which this one cannot "
                f"({error}); use one process"
            ) from error
        self.workers = workers
        self.window = 2 * workers  # no worker waits for its next unit
        self._setup, self._note = setup, note
        self._units: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._living: set[BaseProcess] = set()
        self._closed = self._cancelled = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        if self._closed:
            raise RuntimeError("the executor is shut down")
        future: Future[T] = Future()
        self._units.put(_Unit(fn, args, kwargs, future))
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
            for process in list(self._living):
                process.terminate()
        for _ in self._threads:
            self._units.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _serve(self, name: str) -> None:
        """Hand units to one worker process after another, until there are no more."""
        worker: _Worker | None = None
        while (unit := self._units.get()) is not None:
            if not unit.future.set_running_or_notify_cancel():
                continue
            for attempt in range(1, ATTEMPTS + 1):
                if worker is None:
                    worker = _Worker(name, self._setup)
                    self._living.add(worker.process)
                    if self._cancelled:  # while it started, so that shutdown missed it
                        worker.process.terminate()
                try:
                    worker.do(unit)
                    break
                except (EOFError, OSError):
                    cause = worker.end()
                    self._living.discard(worker.process)
                    worker = None
                    again = attempt < ATTEMPTS and not self._closed
                    if not self._closed:
                        then = "its unit is done again" if again else "its unit is given up"
                        self._note(f"{name} {cause}; {then}")
                    if not again:
                        unit.future.set_exception(AlpError(f"{name} {cause}, {attempt} times"))
                        break
        if worker is not None:
            worker.end()
            self._living.discard(worker.process)


class _Unit:
    """A call, and where its result goes."""

    def __init__(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], future: Any
    ) -> None:
        self.call = (fn, args, kwargs)
        self.future: Future[Any] = future


class _Worker:
    """A process at the other end of a pipe."""

    def __init__(self, name: str, setup: Callable[[], object]) -> None:
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self.pipe, there = context.Pipe()
        self.process = context.Process(target=_work, args=(there, setup), name=name, daemon=True)
        self.process.start()
        there.close()

    def do(self, unit: _Unit) -> None:
        """Have ``unit`` done and give its future what came of it.

        Raises:
            EOFError, OSError: the process has died.
        """
        self.pipe.send(unit.call)
        good, result = self.pipe.recv()
        if good:
            unit.future.set_result(result)
        else:
            unit.future.set_exception(result)

    def end(self) -> str:
        """Close the pipe, which ends the process; what became of it in words."""
        self.pipe.close()
        self.process.join()
        code = self.process.exitcode or 0
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"(process {self.process.pid}) {how}"


def _work(pipe: Connection, setup: Callable[[], object]) -> None:
    """What a worker does: units until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it decides
    try:
        failed: Exception | None = None
        try:
            setup()
        except Exception as error:
            failed = error
        while True:
            fn, args, kwargs = pipe.recv()
            try:
                if failed is not None:
                    raise failed
                answer = (True, fn(*args, **kwargs))
            except Exception as error:
                answer = (False, error)
            pipe.send(answer)
    except (EOFError, OSError):
        pass  # nobody wants more
