"""The measure of speed: how many times longer a diffusion purifier takes in the same run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import Claim
from alp.experiments.measures.base import Runs, Value
from alp.records import Kept
from alp.records.statistics import Interval

ITEM = "speed"
PEER = "diffpure"
STEPS = 100
"""Reverse steps from which a diffusion purifier counts as iterative, as published ones are."""

_OURS = {"draw": "one draw", "draws": "all draws"}
_RESAMPLES = 1000


def diffusion(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The median time of the diffusion purifier over ours in the fastest backend, one image a
    call, with its bootstrap interval."""
    for kept in runs.get(ITEM, ()):
        batch = int(kept.record.columns["batch"].min())
        peers = _times(kept, batch, "peer", PEER)
        for what, words in _OURS.items():
            ours = _times(kept, batch, what)
            if peers and ours:
                fastest = min(ours, key=lambda ms: float(np.median(ms)))
                yield _ratio(words, peers[0], fastest, kept)


def _times(kept: Kept, batch: int, what: str, peer: str | None = None) -> list[NDArray[np.float64]]:
    """Milliseconds of every call at this batch size, of each contestant of the kind ``what``."""
    header, columns = kept.record.header, kept.record.columns
    named: dict[str, dict[str, Any]] = header["contestants"]
    found = (
        columns["ms"][(columns["batch"] == batch) & (columns["contestant"] == name)]
        for name, about in named.items()
        if about["what"] == what
        and (peer is None or (about.get("peer") == peer and about["settings"]["steps"] >= STEPS))
    )
    return [ms for ms in found if len(ms)]


def _ratio(words: str, slow: NDArray[np.float64], fast: NDArray[np.float64], kept: Kept) -> Value:
    source = np.random.default_rng(0)
    drawn = (np.median(source.choice(ms, (_RESAMPLES, len(ms))), axis=1) for ms in (slow, fast))
    low, high = np.percentile(np.divide(*drawn), (2.5, 97.5))
    ratio = float(np.median(slow) / np.median(fast))
    return Value(words, ratio, [kept], Interval(float(low), float(high)))
