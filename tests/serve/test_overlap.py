"""Work ahead of whoever takes the results: order, bounds, and how it ends."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alp.serve.overlap import ahead

UNBOUND = {"threads": 2, "most": 100, "cost": lambda item: 1, "budget": 1e9}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9)), st.integers(1, 4), st.integers(1, 9), st.integers(1, 20))
def test_all_results_in_order_and_never_too_much_under_way(items, threads, most, budget) -> None:
    read: list[int] = []

    def source():
        for item in items:
            read.append(item)
            yield item

    taken: list[int] = []
    cost = {"cost": lambda item: item, "budget": budget}
    for result in ahead(lambda item: -item, source(), threads=threads, most=most, **cost):
        under_way = read[len(taken) : -1]  # the last one read waits for its turn
        assert len(under_way) <= most
        assert sum(under_way) <= budget or len(under_way) == 1
        taken.append(result)
    assert taken == [-item for item in items]


def test_work_overlaps() -> None:
    """Two items that wait for each other are both under way."""
    both = threading.Barrier(2, timeout=20)
    assert list(ahead(lambda item: both.wait() < 2, range(2), **UNBOUND)) == [True, True]


def test_an_error_stands_in_the_place_of_its_result() -> None:
    results = ahead(lambda item: 1 / item, [1, 0, 2], **UNBOUND)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_was_started_is_finished_when_nobody_wants_more() -> None:
    begun, done = threading.Event(), threading.Event()

    def work(item: int) -> int:
        if item:
            begun.set()
            time.sleep(0.05)
            done.set()
        return item

    results = ahead(work, range(2), **UNBOUND | {"threads": 1})
    next(results)
    begun.wait(20)
    results.close()
    assert done.is_set()
