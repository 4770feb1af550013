"""Jobs of Slurm that wait in its queue."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

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

    def exception(self) -> None:
        raise RuntimeError("no results")

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


SCRIPT = """
from alp.executors.submitit import Submitit

def double(number):
    return 2 * number

def main():
    with Submitit().start(1, 1) as executor:
        print(executor.submit(double, 21).result())

"""


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [True, False])
def test_a_job_finds_what_the_users_script_defines(tmp_path: Path, guarded: bool) -> None:
    """It imports the script; one that would start jobs again when it is imported is told so."""
    path = tmp_path / "script.py"
    guard = "if __name__ == '__main__':\n    " if guarded else ""
    path.write_text(f"{SCRIPT}{guard}main()\n")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    if guarded:
        assert done.stdout.strip() == "42", done.stderr
    else:
        assert done.returncode != 0
        assert "ended before it took a unit (" in done.stderr
        assert "put what it does under if __name__ == '__main__'" in done.stderr
