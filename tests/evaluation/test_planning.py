"""Wall times of units on several workers."""

from __future__ import annotations

import pytest

from alp.evaluation.planning import makespan
from alp.evaluation.schedule import Unit


def units_of(batches: int, tasks: int) -> list[Unit]:
    return [
        Unit(task, batch, batch, batch + 1) for task in range(tasks) for batch in range(batches)
    ]


@pytest.mark.parametrize(
    ("workers", "start", "expected"), [(1, 0, 12), (2, 0, 6), (5, 0, 3), (12, 0, 1), (12, 7, 8)]
)
def test_units_that_wait_for_nothing(workers, start, expected) -> None:
    every = units_of(4, 3)
    found = makespan(dict.fromkeys(every, 1.0), dict.fromkeys(every, 0), workers, start)
    assert found == expected


def test_a_batch_is_a_chain_where_each_task_waits_for_the_last() -> None:
    every = units_of(2, 3)
    chain = {unit: unit.task for unit in every}
    assert makespan(dict.fromkeys(every, 2.0), chain, 100) == 6
    assert makespan(dict.fromkeys(every, 2.0), chain, 1) == 12


def test_a_long_unit_holds_all_up() -> None:
    every = units_of(4, 1)
    seconds = {unit: 10.0 if unit.batch == 3 else 1.0 for unit in every}
    assert makespan(seconds, dict.fromkeys(every, 0), 2) == 11
