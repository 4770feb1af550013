"""Units of work in this process and in others, where workers may die."""

from __future__ import annotations

import math
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from alp.errors import AlpError, ConfigError
from alp.executors import ATTEMPTS, ProcessExecutor, SerialExecutor


def none() -> None:
    """A worker needs nothing before its units."""


def failing() -> None:
    raise ConfigError("the setup says no")


def dies_until(folder: Path, attempt: int) -> int:
    """Leave a mark, and die unless it is the mark number ``attempt``."""
    (folder / str(len(list(folder.iterdir())))).touch()
    if len(list(folder.iterdir())) < attempt:
        signal.raise_signal(signal.SIGKILL)
    return attempt


def workers_of(notes: list[str], count: int = 1, setup=none) -> ProcessExecutor:
    return ProcessExecutor(count, setup, notes.append)


@pytest.mark.parametrize("make", [SerialExecutor, partial(workers_of, [], 2)])
def test_units_give_results_and_errors_to_their_own_futures(make) -> None:
    with make() as executor:
        good = [executor.submit(math.sqrt, each) for each in (4, 9, 16)]
        bad = executor.submit(math.sqrt, -1)
        assert [each.result() for each in good] == [2, 3, 4]
        with pytest.raises(ValueError, match="math domain"):
            bad.result()


def test_a_unit_whose_worker_dies_is_done_again(tmp_path: Path) -> None:
    notes: list[str] = []
    with workers_of(notes) as executor:
        assert executor.submit(dies_until, tmp_path, ATTEMPTS).result() == ATTEMPTS
        assert executor.submit(math.sqrt, 4).result() == 2
    assert len(notes) == ATTEMPTS - 1
    assert all("worker 1" in note and "died of SIGKILL" in note for note in notes)
    assert all("its unit is done again" in note for note in notes)


def test_a_unit_that_always_kills_its_worker_is_given_up_and_the_others_are_done(
    tmp_path: Path,
) -> None:
    notes: list[str] = []
    with workers_of(notes) as executor:
        deadly = executor.submit(dies_until, tmp_path, ATTEMPTS + 1)
        after = executor.submit(math.sqrt, 4)
        with pytest.raises(AlpError, match=f"worker 1 .* died of SIGKILL, {ATTEMPTS} times"):
            deadly.result()
        assert after.result() == 2
    assert "its unit is given up" in notes[-1]
    assert len(notes) == ATTEMPTS


def test_a_worker_that_ends_by_itself_is_told_with_its_status() -> None:
    notes: list[str] = []
    with workers_of(notes) as executor, pytest.raises(AlpError, match="ended with status 7"):
        executor.submit(os._exit, 7).result()


def test_a_setup_that_fails_fails_every_unit_with_its_own_error() -> None:
    with workers_of([], setup=failing) as executor:
        for _ in range(2):
            with pytest.raises(ConfigError, match="the setup says no"):
                executor.submit(math.sqrt, 4).result()


def test_units_that_wait_are_cancelled() -> None:
    executor = workers_of([])
    running = executor.submit(signal.sigtimedwait, [signal.SIGUSR1], 60)
    waiting = [executor.submit(math.sqrt, 4) for _ in range(3)]
    executor.shutdown(cancel_futures=True)
    assert all(each.cancelled() for each in waiting)
    assert running.done()
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(math.sqrt, 4)


@pytest.mark.parametrize(
    ("workers", "setup", "message"),
    [(0, none, "number of processes is 0"), (1, lambda: None, "can be pickled")],
)
def test_workers_that_cannot_be_started_are_refused(workers, setup, message) -> None:
    with pytest.raises(ConfigError, match=message):
        ProcessExecutor(workers, setup)
