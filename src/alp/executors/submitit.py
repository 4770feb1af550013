"""Slurm, by submitit: each worker is a job, which takes units until there are no more."""

from __future__ import annotations

import queue
import re
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import AuthenticationError, spawn
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from alp.errors import AlpError, ConfigError, install
from alp.executors import EXECUTORS, Workers, shut_down
from alp.executors.pool import Pool, Worker, work

_PATIENCE = 0.5
"""Seconds between two looks whether a job that has not answered yet has ended."""

_importing = False
"""Whether this is a job that imports the user's script."""


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
    folder: str | None = None
    """Folder that all machines see, from which jobs of Slurm read what they are, and where they
    write what they print; needed with Slurm."""

    @contextmanager
    def start(self, count: int, threads: int) -> Iterator[Executor]:
        if _importing:  # else jobs submit jobs without end
            raise ConfigError(
                "a script that is imported starts jobs; put what it does under "
                "if __name__ == '__main__', so that its jobs can import it"
            )
        if find_spec("submitit") is None:
            raise AlpError(f"the executor submitit needs submitit: {install('slurm')}")
        from submitit import AutoExecutor

        if self.folder is None and AutoExecutor.which() != "local":
            raise ConfigError(
                "jobs of Slurm need a folder that all machines see; give --workers.folder FOLDER"
            )
        with tempfile.TemporaryDirectory(
            prefix="alp-jobs-", ignore_cleanup_errors=True
        ) as temporary:
            jobs = AutoExecutor(folder=self.folder or temporary)
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
        self._queued: set[Any] = set()

    def start(self, name: str) -> Worker:
        with self._lock:  # submitit's executor is for one thread
            worker = _Job(self._jobs, self._host)
            self._queued.add(worker.job)
        try:
            worker.connect()
        finally:
            self._queued.discard(worker.job)
        return worker

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if cancel_futures:
            for job in list(self._queued):
                job.cancel()
        super().shutdown(wait, cancel_futures=cancel_futures)


class _Job(Worker):
    def __init__(self, jobs: Any, host: str) -> None:
        super().__init__()
        key = secrets.token_bytes(32)
        bound = host if host == "127.0.0.1" else "0.0.0.0"
        self._listener = Listener((bound, 0), authkey=key)
        self.job = jobs.submit(_serve, host, self._listener.address[1], key, _script())

    def connect(self) -> None:
        """Wait for the job, which Slurm may keep in its queue for long.

        Raises:
            AlpError: it ended before it connected.
        """
        found: queue.SimpleQueue[Connection] = queue.SimpleQueue()

        def accept() -> None:
            while True:
                try:
                    return found.put(self._listener.accept())
                except (AuthenticationError, EOFError, ConnectionError):
                    continue  # somebody else
                except OSError:
                    return  # the listener is closed

        threading.Thread(target=accept, daemon=True).start()
        with self._listener:
            while True:
                try:
                    self.pipe = found.get(timeout=_PATIENCE)
                    return
                except queue.Empty:
                    if self.job.done():
                        raise AlpError(
                            f"the job {self.job.job_id} ended before it took a unit "
                            f"({self._ended()}); --workers.folder keeps what it printed"
                        ) from None

    def _ended(self) -> str:
        """How the job ended: its state, or the error in what it printed."""
        try:
            error = self.job.exception()
        except Exception:  # submitit's own errors, of a job that was lost
            error = None
        raised = re.findall(r"^[\w.]+Error: .*", str(error), re.MULTILINE)
        return str(raised[-1] if raised else self.job.state)

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


def _script() -> dict[str, Any]:
    """Where a job finds what the user's own script defines."""
    found = spawn.get_preparation_data("alp")
    return {key: found[key] for key in found if key == "sys_path" or key.startswith("init_main")}


def _serve(host: str, port: int, key: bytes, script: dict[str, Any]) -> None:
    """What a job does. It imports the user's script as processes of one machine do, under another
    name than ``__main__``."""
    global _importing
    _importing = True
    spawn.prepare(script)
    _importing = False
    work(Client((host, port), authkey=key))
