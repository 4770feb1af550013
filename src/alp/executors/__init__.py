"""Where units of work run: in this process, in others, or on other machines.

Everything here is a ``concurrent.futures.Executor``: what takes one takes any. ``EXECUTORS`` names
those that the command line can start. Importing this package imports no torch and no engine.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from alp.errors import AlpError, ConfigError
from alp.registry import Registry

T = TypeVar("T")

RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Variables by which a launcher numbers its processes; a process without them is alone."""

Note = Callable[[str], object]
"""Told in a sentence what happened to a worker."""


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


class WorkerLost(AlpError):
    """The worker of a unit died, or its machine did. The unit may be done again."""


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


@dataclass(frozen=True)
class Workers(ABC):
    """Settings of an executor: fields are options of the command line."""

    @abstractmethod
    def start(self, count: int, threads: int) -> AbstractContextManager[Executor]:
        """An executor with ``count`` workers of ``threads`` processor threads each, which is shut
        down where its context ends; what is queued is cancelled where that is an error.

        Raises:
            AlpError: the engine is not installed, or cannot be reached.
        """

    def threads(self, count: int) -> int:
        """Processor threads of each worker where nobody says a number."""
        return 1


EXECUTORS: Registry[type[Workers]] = Registry("EXECUTORS", "alp.executors", "alp.executors")
"""Name to the settings of an executor."""


@contextmanager
def shut_down(executor: Executor) -> Iterator[Executor]:
    """``executor`` until the end; what is queued is cancelled where that is an error."""
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()
