"""Units of work in this process and in others, where workers may die."""

from __future__ import annotations

import math
import os
import signal
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from alp.errors import AlpError, ConfigError
from alp.executors import SerialExecutor, WorkerLost
from alp.executors.processes import ProcessExecutor
from alp.executors.units import ATTEMPTS, Prepared, run_units


def dies_until(folder: Path, attempt: int) -> int:
    """Leave a mark, and die unless it is the mark number ``attempt``."""
    (folder / str(len(list(folder.iterdir())))).touch()
    if len(list(folder.iterdir())) < attempt:
        signal.raise_signal(signal.SIGKILL)
    return attempt


def fails_until(folder: Path, attempt: int) -> int:
    """As ``dies_until``, with an error in place of death."""
    (folder / str(len(list(folder.iterdir())))).touch()
    if len(list(folder.iterdir())) < attempt:
        raise ValueError(f"no\n  luck {attempt}")
    return attempt


def all_done(executor: Executor, calls: dict[int, tuple], notes: list[str]) -> dict[int, object]:
    """The results of numbered calls by :func:`run_units`."""
    results: dict[int, object] = {}
    run_units(
        executor,
        calls,
        lambda number: executor.submit(*calls[number]),
        lambda number, result: results.update({number: result}) or [],
        lambda number: f"unit {number}",
        notes.append,
    )
    return results


@pytest.mark.parametrize("make", [SerialExecutor, partial(ProcessExecutor, 2)])
def test_units_give_results_and_errors_to_their_own_futures(make) -> None:
    with make() as executor:
        good = [executor.submit(math.sqrt, each) for each in (4, 9, 16)]
        bad = executor.submit(math.sqrt, -1)
        assert [each.result() for each in good] == [2, 3, 4]
        with pytest.raises(ValueError, match="math domain"):
            bad.result()


class Elsewhere:
    """What a worker cannot import, such as what a notebook defines."""

    def __reduce__(self):
        return import_module, ("no_such_module",)


def test_a_worker_that_cannot_import_its_unit_says_so_and_goes_on() -> None:
    with ProcessExecutor(1) as executor:
        with pytest.raises(ConfigError, match=r"cannot import .*no_such_module.* in a file"):
            executor.submit(repr, Elsewhere()).result()
        assert executor.submit(math.sqrt, 4).result() == 2


def test_a_unit_whose_worker_dies_is_done_again(tmp_path: Path) -> None:
    notes: list[str] = []
    with ProcessExecutor(1) as executor:
        calls = {0: (dies_until, tmp_path, ATTEMPTS), 1: (math.sqrt, 4)}
        assert all_done(executor, calls, notes) == {0: ATTEMPTS, 1: 2}
    assert len(notes) == ATTEMPTS - 1
    assert all("unit 0: worker 1" in note and "died of SIGKILL" in note for note in notes)
    assert all("its unit is done again" in note for note in notes)


@pytest.mark.parametrize(
    ("make", "deadly", "cause"),
    [
        (partial(ProcessExecutor, 1), dies_until, "worker 1 .* died of SIGKILL"),
        (SerialExecutor, fails_until, "ValueError: no luck 4"),
        (partial(ThreadPoolExecutor, 2), fails_until, "ValueError: no luck 4"),
    ],
)
def test_a_unit_that_always_fails_is_named_and_the_others_are_done(
    tmp_path: Path, make, deadly, cause
) -> None:
    notes: list[str] = []
    done: list[int] = []
    with make() as executor, pytest.raises(AlpError, match=rf"failed 3 times: unit 0 \({cause}\)"):
        run_units(
            executor,
            [0, 1],
            lambda unit: executor.submit(*[(deadly, tmp_path, 4), (math.sqrt, 4)][unit]),
            lambda unit, result: done.append(unit) or [],
            lambda unit: f"unit {unit}",
            notes.append,
        )
    assert done == [1]
    assert "its unit is given up" in notes[-1]
    assert len(notes) == len(list(tmp_path.iterdir())) == ATTEMPTS


def refused() -> None:
    raise ConfigError("other weights")


def test_an_error_that_the_user_has_to_repair_ends_all_at_once() -> None:
    notes: list[str] = []
    with pytest.raises(ConfigError, match="other weights"):
        all_done(SerialExecutor(), {0: (refused,), 1: (math.sqrt, 4)}, notes)
    assert not notes


def test_an_executor_that_broke_says_what_to_do() -> None:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
        pytest.raises(AlpError, match=r"the executor is broken .* start another"),
    ):
        all_done(executor, {0: (signal.raise_signal, signal.SIGKILL)}, [])


def test_units_start_as_others_allow_them_to() -> None:
    order: list[int] = []
    executor = SerialExecutor()
    run_units(
        executor,
        [3, 1],
        lambda unit: executor.submit(order.append, unit),
        lambda unit, result: [unit + 1] if unit == 1 else [],
        str,
    )
    assert order == [1, 2, 3], "the smallest of those that may start"


def test_a_worker_that_ends_by_itself_is_told_with_its_status() -> None:
    with ProcessExecutor(1) as executor, pytest.raises(WorkerLost, match="ended with status 7"):
        executor.submit(os._exit, 7).result()


def counted(made: list[int]) -> list[int]:
    """How many times this process made its argument."""
    made.append(len(made))
    return made


def number(folder: Path) -> list[int]:
    (folder / f"{os.getpid()}-{len(list(folder.iterdir()))}").touch()
    return []


def test_a_process_makes_what_its_units_share_once(tmp_path: Path) -> None:
    call = Prepared("key", partial(number, tmp_path), counted, 1)
    with ProcessExecutor(1) as executor:
        assert [executor.submit(call).result() for _ in range(3)][-1] == [0, 1, 2]
        other = Prepared("other", partial(number, tmp_path), counted, 1)
        assert executor.submit(other).result() == [0]
        assert executor.submit(call).result() == [0], "the last one alone is kept"
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_pickled_is_refused() -> None:
    with ProcessExecutor(1) as executor:
        for _ in range(2):
            with pytest.raises(ConfigError, match="a target that can be pickled"):
                executor.submit(lambda: None).result()
        assert executor.submit(sys.getrecursionlimit).result()


def test_units_that_wait_are_cancelled() -> None:
    executor = ProcessExecutor(1)
    running = executor.submit(signal.sigtimedwait, [signal.SIGUSR1], 60)
    waiting = [executor.submit(math.sqrt, 4) for _ in range(3)]
    executor.shutdown(cancel_futures=True)
    assert all(each.cancelled() for each in waiting)
    assert running.done()
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(math.sqrt, 4)


def test_no_workers_are_refused() -> None:
    with pytest.raises(ConfigError, match="number of processes is 0"):
        ProcessExecutor(0)


class Unsendable:
    """What raises an error of pickle's own."""

    def __reduce__(self) -> str:
        return "nothing of this name"


def test_a_result_that_cannot_be_pickled_is_told_and_the_worker_lives() -> None:
    with ProcessExecutor(1) as executor:
        with pytest.raises(RuntimeError, match="cannot be sent back"):
            executor.submit(Unsendable).result()
        assert executor.submit(abs, -1).result() == 1
