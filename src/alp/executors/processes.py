"""Worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass

from alp.executors import EXECUTORS, SerialExecutor, Workers, cores, shut_down
from alp.executors.pool import Pool, Worker, work


@EXECUTORS.register("serial", order=0, summary="this process")
@dataclass(frozen=True)
class Serial(Workers):
    """One unit after another, in this process."""

    def start(self, count: int, threads: int) -> AbstractContextManager[Executor]:
        return shut_down(SerialExecutor())

    def threads(self, count: int) -> int:
        import torch

        return torch.get_num_threads()


@EXECUTORS.register("processes", order=1, summary="processes on this machine")
@dataclass(frozen=True)
class Processes(Serial):
    """Processes on this machine; of one process, this one."""

    def start(self, count: int, threads: int) -> AbstractContextManager[Executor]:
        return shut_down(ProcessExecutor(count) if count > 1 else SerialExecutor())

    def threads(self, count: int) -> int:
        return max(1, cores() // count) if count > 1 else super().threads(count)


class ProcessExecutor(Pool):
    """Worker processes on this machine. Units and results are pickled."""

    def start(self, name: str) -> Worker:
        return _Process(name)


class _Process(Worker):
    def __init__(self, name: str) -> None:
        super().__init__()
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self.pipe, there = context.Pipe()  # type: ignore[assignment]
        self.process = context.Process(target=work, args=(there,), name=name, daemon=True)
        self.process.start()
        there.close()

    def end(self) -> str:
        self.pipe.close()
        self.process.join()
        code = self.process.exitcode or 0
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"(process {self.process.pid}) {how}"

    def kill(self) -> None:
        self.process.terminate()
