"""Work in threads ahead of whoever takes the results, with a bound on what is under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    most: int,
    cost: Callable[[Item], float],
    budget: float,
) -> Iterator[Result]:
    """``function`` of each item, in order, computed by ``threads`` threads before it is asked for.

    At most ``most`` items are under way, started and not taken yet, and their ``cost`` together
    stays within ``budget``, unless one item alone is above it. ``items`` is read as needed, in the
    thread of the caller. An error is raised where its result would have been; what has been
    started then, or when the iterator is closed, is finished.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[tuple[Future[Result], float]] = deque()
    held = 0.0
    try:
        for item in items:
            price = cost(item)
            while waiting and (len(waiting) >= most or held + price > budget):
                first, paid = waiting.popleft()
                held -= paid
                yield first.result()
            waiting.append((pool.submit(function, item), price))
            held += price
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
