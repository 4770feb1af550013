"""What the project promises about speed, judged by a record. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from alp.bench.statistics import Ratio, Statistic, ratio
from alp.bench.summary import Row, best, peak, reference, rows, sibling
from alp.evaluation.records import Record

EAGER = "eager"
"""The backend that the others are measured against."""

Measure = Callable[[list[Row], int], Ratio | None]
"""All rows and a batch size -> a ratio, None where what it takes was not timed."""


@dataclass(frozen=True)
class Target:
    """A bound on a ratio of two timings of one run."""

    words: str
    """What is compared."""
    batch: int
    """Images a call."""
    bound: float
    """The bound."""
    at_most: bool
    """Whether the ratio has to stay below it, else above."""
    measure: Measure
    """The ratio."""


@dataclass(frozen=True)
class Judged:
    """A target and what was measured."""

    target: Target
    """The target."""
    ratio: Ratio | None
    """The measured ratio; None where what it takes was not timed."""

    @property
    def reached(self) -> bool | None:
        """Whether the measured ratio keeps the bound; None where there is none."""
        if self.ratio is None:
            return None
        if self.target.at_most:
            return self.ratio.value <= self.target.bound
        return self.ratio.value >= self.target.bound


def _engines(above: str, below: str, statistic: Statistic) -> Measure:
    """Two predictions of the best backend."""

    def measure(found: list[Row], batch: int) -> Ratio | None:
        chosen = best(found, batch, reference(found))
        if chosen is None:
            return None
        first, second = (sibling(found, chosen, what).series for what in (above, below))
        return ratio(first, second, statistic)

    return measure


def _peer(name: str, below: str, statistic: Statistic) -> Measure:
    """A peer over a prediction of the best backend."""

    def measure(found: list[Row], batch: int) -> Ratio | None:
        chosen = best(found, batch, reference(found))
        peers = [
            row for row in found if (row.what, row.batch, row.backend) == ("peer", batch, name)
        ]
        if chosen is None or not peers:
            return None
        return ratio(peers[0].series, sibling(found, chosen, below).series, statistic)

    return measure


def _eager(what: str) -> Measure:
    """Eager PyTorch over the best backend, each on the number of threads that suits it best."""

    def measure(found: list[Row], batch: int) -> Ratio | None:
        chosen = best(found, batch, reference(found))
        eager = best(found, batch, reference(found), EAGER)
        if chosen is None or eager is None:
            return None
        above, below = (sibling(found, each, what).series for each in (eager, chosen))
        return ratio(above, below)

    return measure


def _share(found: list[Row], batch: int) -> Ratio | None:
    """The share of the measured matrix peak."""
    chosen = best(found, batch, reference(found))
    if chosen is None:
        return None
    roof = peak(found, chosen)
    return ratio(roof.series, chosen.series).times(chosen.flops / roof.flops)


TARGETS: tuple[Target, ...] = (
    Target("all draws / one draw", 1, 6, True, _engines("draws", "draw", np.median)),
    Target(
        "sequential consensus / one draw, mean",
        1,
        2.5,
        True,
        _engines("consensus", "draw", np.mean),
    ),
    Target("100-step diffusion / one draw", 1, 1000, False, _peer("diffpure", "draw", np.median)),
    Target(
        "100-step diffusion / consensus, mean",
        1,
        300,
        False,
        _peer("diffpure", "consensus", np.mean),
    ),
    Target("eager PyTorch / best backend, one draw", 1, 2, False, _eager("draw")),
    Target("eager PyTorch / best backend, consensus", 1, 2, False, _eager("consensus")),
    Target("eager PyTorch / best backend, all draws", 1, 2, False, _eager("draws")),
    Target("share of the matrix peak, all draws", 64, 0.5, False, _share),
)
"""The bounds that the project set itself for two processor cores and the model ``lite``."""


def judge(record: Record) -> list[Judged]:
    """Every target with its measured ratio.

    Raises:
        RecordError: it is no bench record.
    """
    found = rows(record)
    return [Judged(target, target.measure(found, target.batch)) for target in TARGETS]


def as_json(judged: Judged) -> dict[str, Any]:
    """A judged target as JSON values."""
    target, measured = judged.target, judged.ratio
    return {
        "target": target.words,
        "batch": target.batch,
        "bound": target.bound,
        "at_most": target.at_most,
        "ratio": None if measured is None else vars(measured),
        "reached": judged.reached,
    }
