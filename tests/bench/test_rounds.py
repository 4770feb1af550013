"""Timing by turns: who is called when, and what is measured."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alp.bench import latency
from alp.bench.run import LEAST, Contestant, take_turns, turns


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Seconds that pass only where a test lets them."""
    now = [0.0]
    monkeypatch.setattr(latency, "perf_counter", lambda: now[0])
    return now


def contestant(name: str, clock: list[float], seconds: float, calls: list[tuple[str, int]]):
    def call(number: int) -> float:
        clock[0] += seconds
        calls.append((name, number))
        return float(number)

    return Contestant(name, call)


def test_every_round_has_every_contestant_in_another_order(clock) -> None:
    calls: list[tuple[str, int]] = []
    four = [contestant(name, clock, 0.01, calls) for name in "abcd"]
    timings = list(take_turns(four, 30, 100, seed=0))
    assert len(calls) == 4 * 30 + 8  # two of each to warm up
    rounds = [
        "".join(each.contestant for each in group)
        for _, group in itertools.groupby(timings, lambda each: each.round)
    ]
    assert {"".join(sorted(order)) for order in rounds} == {"abcd"}
    assert len(set(rounds)) > 10
    assert all(each.ms == pytest.approx(10) and each.draws == each.round for each in timings)


def test_a_slow_one_sits_out_some_rounds(clock) -> None:
    calls: list[tuple[str, int]] = []
    pair = [contestant("fast", clock, 0.01, calls), contestant("slow", clock, 30, calls)]
    timings = list(take_turns(pair, 100, 2, seed=0))
    slow = [each.round for each in timings if each.contestant == "slow"]
    assert slow == [0, 34, 67]
    assert len([name for name, _ in calls if name == "slow"]) == 3 + 2  # two to warm up
    assert sum(each.contestant == "fast" for each in timings) == 100


def test_what_is_set_up_once_does_not_make_a_contestant_slow(clock) -> None:
    seconds = iter([0.5, *[0.01] * 1000])

    def call(number: int) -> float:
        clock[0] += next(seconds)
        return math.nan

    assert len(list(take_turns([Contestant("a", call)], 100, 2, seed=0))) == 100


@given(st.floats(1e-3, 1e6), st.integers(1, 500), st.floats(0.01, 100))
def test_the_time_of_a_contestant_is_bounded(ms: float, rounds: int, seconds: float) -> None:
    count = turns(ms, rounds, seconds)
    assert min(rounds, LEAST) <= count <= rounds
    assert count <= LEAST or count * ms <= 1000 * seconds
    assert sum(number * count % rounds < count for number in range(rounds)) == count
