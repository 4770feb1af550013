"""Timing by turns: every contestant in every round, so that a noisy machine hurts all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from alp import seeding
from alp.evaluation.latency import timed

if TYPE_CHECKING:
    import torch

LEAST = 3
"""Calls of a contestant, however long it takes."""

Call = Callable[[int], float]
"""Number of the round -> draws that an image took, NaN where the word has no meaning."""


@dataclass(frozen=True, eq=False)
class Contestant:
    """One thing to be timed."""

    name: str
    """Unlike those of all others in its rounds."""
    call: Call = field(repr=False)
    """What is timed."""


class Timing(NamedTuple):
    """One timed call."""

    contestant: str
    round: int
    ms: float
    draws: float


def take_turns(
    contestants: Sequence[Contestant],
    rounds: int,
    seconds: float,
    seed: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Iterator[Timing]:
    """Time the contestants in ``rounds`` rounds, each round in another random order.

    Each is called twice first: the first call may pay for what is set up once, the second tells
    how long one takes. A contestant whose calls would take longer than ``seconds`` in all sits out
    some rounds, evenly spread, but takes part in ``LEAST`` at least.
    """
    counts = {}
    for each in contestants:
        each.call(0)
        counts[each.name] = turns(timed(partial(each.call, 0), device)[0], rounds, seconds)
    random = np.random.default_rng(seeding.derive(seed, "turns"))
    for number in range(rounds):
        for position in random.permutation(len(contestants)):
            each = contestants[position]
            if number * counts[each.name] % rounds < counts[each.name]:
                ms, draws = timed(partial(each.call, number), device)
                yield Timing(each.name, number, ms, draws)
        progress(number + 1, rounds)


def turns(ms: float, rounds: int, seconds: float) -> int:
    """In how many of the rounds a call of ``ms`` milliseconds takes part."""
    affordable = int(1000 * seconds / max(ms, 1e-6))
    return min(rounds, max(LEAST, affordable))
