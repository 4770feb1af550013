"""Records as the README quotes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from alp.experiments.findings import judge as judge_claims
from alp.records import (
    Record,
    choose_points,
    conclude,
    measured,
    read,
    read_tree,
    robust_share,
)
from alp.records.statistics import paired_difference
from alp.report.claims import Finding, Judged

ROOT = Path(__file__).parents[2]


RESULTS = ROOT / "results" / "cpu"


TRIALS = range(5)


@cache
def record(path: str) -> Record:
    return read(RESULTS / f"{path}.json")


@cache
def verdict(path: str) -> dict[str, Any]:
    return conclude(record(path))


@cache
def claims() -> Mapping[str, Judged]:
    return {each.id: each for each in judge_claims(read_tree(RESULTS)[0])}


def per_cent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"


def ends(found: Mapping[str, float], dash: str = " to ") -> str:
    return f"{per_cent(found['low'])}{dash}{per_cent(found['high'])}"


def gain(path: str, over: str, sign: str = "+") -> tuple[str, str]:
    """Points by which one worst case is above another on the same images, and its interval."""
    mean, (low, high) = paired_difference(*(robust_share(record(each)) for each in (path, over)))
    return f"{100 * mean:{sign}.1f}", f"{100 * low:{sign}.1f} to {100 * high:{sign}.1f}"


def spread(found: Mapping[str, Any]) -> str:
    sd = "" if found["sd"] is None else f" ± {per_cent(found['sd'])}"
    return f"{per_cent(found['value'])}{sd} %"


def of(claim: str, *protocols: str) -> list[float]:
    found = {each.protocol: each.value for each in claims()[claim].findings}
    return [found[name] for name in protocols] if protocols else list(found.values())


def own_class(path: str, name: str) -> float:
    """Share of the nearest clean images that have an image's own class."""
    return float(np.mean(record(path).columns[f"{name}_share"]))


def clean(path: str) -> str:
    (point,) = choose_points(measured(record(path)), "clean")
    return per_cent(point.accuracy.value)


def listed(items: Iterable[str]) -> str:
    *first, last = (f"`{each}`" for each in sorted(items))
    return f"{', '.join(first)} and {last}" if first else last


def signed(finding: Finding) -> tuple[str, str, str]:
    """A difference and the ends of its interval, with their signs."""
    low, high = (float(e.replace("\u2212", "-")) for e in finding.interval.split(" to "))
    return f"{finding.value:+.1f}", f"{low:+.1f}", f"{high:+.1f}"


def point(path: str, level: str, place: int = 0) -> Any:
    return choose_points(measured(record(path)), level)[place]
