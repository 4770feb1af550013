"""Jobs of Slurm that wait in its queue."""

from __future__ import annotations

import threading

import pytest

from alp.errors import AlpError, ConfigError
from alp.executors.submitit import JobPool, Submitit

pytest.importorskip("submitit")


class _Queued:
    """A job that never starts."""

    job_id, state = "7", "CANCELLED"

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def done(self) -> bool:
        return self.cancelled.is_set()

    def cancel(self) -> None:
        self.cancelled.set()


class _Jobs:
    """submitit's executor, of which nothing but ``submit`` is asked."""

    def __init__(self) -> None:
        self.submitted = threading.Event()

    def submit(self, *call: object) -> _Queued:
        self.job = _Queued()
        self.submitted.set()
        return self.job


def test_a_job_that_waits_in_the_queue_is_cancelled() -> None:
    jobs = _Jobs()
    pool = JobPool(1, jobs, "127.0.0.1")
    future = pool.submit(abs, -1)
    assert jobs.submitted.wait(10)
    pool.shutdown(cancel_futures=True)
    assert jobs.job.cancelled.is_set()
    with pytest.raises(AlpError, match=r"job 7 ended before it took a unit \(CANCELLED\)"):
        future.result(10)


def test_slurm_needs_a_folder_that_all_machines_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submitit.AutoExecutor.which", lambda: "slurm")
    with pytest.raises(ConfigError, match="give --workers"), Submitit().start(1, 1):
        pass
