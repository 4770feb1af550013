"""Slurm, by submitit: each worker is a job, which takes units until there are no more."""

from __future__ import annotations

import queue
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from alp.errors import AlpError
from alp.executors import EXECUTORS, Workers, shut_down
from alp.executors.pool import Pool, Worker, work

_PATIENCE = 0.5
"""Seconds between two looks whether a job that has not answered yet has ended."""


@EXECUTORS.register("submitit", order=3, summary="jobs of Slurm, or of this machine")
@dataclass(frozen=True)
class Submitit(Workers):
    """--processes jobs of Slurm, which connect back to this process and are given units. Where
    there is no Slurm, processes on this machine stand in for jobs. A job that ends before its time
    is submitted again."""

    partition: str | None = None
    """Of Slurm."""
    minutes: int = 24 * 60
    """Time limit of a job."""
    memory: int = 8
    """Memory of a job in GB."""
    gpus: int = 0
    """GPUs of a job."""
    logs: str | None = None
    """Folder for what jobs print, which all machines see; by default a temporary one here."""

    @contextmanager
    def start(self, count: int, threads: int) -> Iterator[Executor]:
        if find_spec("submitit") is None:
            raise AlpError('the executor submitit needs submitit: pip install "alp[slurm]"')
        from submitit import AutoExecutor

        with tempfile.TemporaryDirectory(
            prefix="alp-jobs-", ignore_cleanup_errors=True
        ) as temporary:
            jobs = AutoExecutor(folder=self.logs or temporary)
            jobs.update_parameters(
                name="alp",
                timeout_min=self.minutes,
                cpus_per_task=threads,
                mem_gb=self.memory,
                gpus_per_node=self.gpus,
                **({"slurm_partition": self.partition} if self.partition else {}),
            )
            everywhere = "127.0.0.1" if jobs.cluster == "local" else socket.getfqdn()
            with shut_down(JobPool(count, jobs, everywhere)) as executor:
                yield executor


class JobPool(Pool):
    """Workers that are jobs. Each connects back to this process with a key of its own, which keeps
    others out."""

    def __init__(self, workers: int, jobs: Any, host: str) -> None:
        """``jobs``: submitit's executor; ``host``: the name of this machine for the jobs."""
        super().__init__(workers)
        self._jobs, self._host = jobs, host
        self._lock = threading.Lock()

    def start(self, name: str) -> Worker:
        return _Job(self._jobs, self._host, self._lock)


class _Job(Worker):
    def __init__(self, jobs: Any, host: str, lock: threading.Lock) -> None:
        super().__init__()
        key = secrets.token_bytes(32)
        bound = host if host == "127.0.0.1" else "0.0.0.0"
        with Listener((bound, 0), authkey=key) as listener:
            port = listener.address[1]
            with lock:  # submitit's executor is for one thread
                self.job = jobs.submit(_serve, host, port, key)
            self.pipe = self._connected(listener)

    def _connected(self, listener: Listener) -> Connection:
        """The pipe to the job, once it runs.

        Raises:
            AlpError: it ended before.
        """
        found: queue.SimpleQueue[Connection | None] = queue.SimpleQueue()

        def accept() -> None:
            while True:
                try:
                    found.put(listener.accept())
                except (AuthenticationError, EOFError):
                    continue  # somebody else
                except OSError:
                    pass  # the listener is closed
                return

        threading.Thread(target=accept, daemon=True).start()
        while True:
            try:
                pipe = found.get(timeout=_PATIENCE)
            except queue.Empty:
                if not self.job.done():
                    continue
                raise AlpError(
                    f"the job {self.job.job_id} ended before it took a unit ({self.job.state}): "
                    f"see {self.job.paths.stderr}"
                ) from None
            assert pipe is not None
            return pipe

    def packed(self, call: tuple[Any, ...]) -> Any:
        return _ByValue(call)

    def end(self) -> str:
        self.pipe.close()
        try:
            self.job.wait()
            state = self.job.state
        except Exception as error:  # submitit's own errors, of a job that was lost
            state = type(error).__name__
        return f"(job {self.job.job_id}) is lost, in the state {state}"

    def kill(self) -> None:
        self.job.cancel()


class _ByValue:
    """A call with what the user's own script defines, which a job cannot import."""

    def __init__(self, call: tuple[Any, ...]) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        import cloudpickle

        return cloudpickle.loads, (cloudpickle.dumps(self._call),)


def _serve(host: str, port: int, key: bytes) -> None:
    """What a job does."""
    work(Client((host, port), authkey=key))
