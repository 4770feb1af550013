"""Measures of speed: what draws cost, and how many times longer a diffusion purifier takes in the
same run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alp.experiments.claims import Claim
from alp.experiments.measures.base import Runs, Value
from alp.records import Columns, Kept
from alp.records.statistics import Interval, Series, ratio

ITEM = "speed"
PEERS = {"published-diffpure": "published", "diffpure": "trained here"}
"""Purifiers by diffusion, and in words whose network they run."""
STEPS = 100
"""Reverse steps from which a diffusion purifier counts as iterative, as published ones are."""

EAGER = "eager"
"""The backend of every diffusion purifier, in PyTorch."""

_BACKENDS = {
    EAGER: "eager",
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
}
_OURS = {"draw": "one draw", "draws": "all draws"}


def diffusion(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The median time of each diffusion purifier, which runs in eager PyTorch, over ours, one image
    a call, with its bootstrap interval: ours in eager PyTorch too, and then, where another backend
    is faster, in the fastest."""
    for kept in runs.get(ITEM, ()):
        batch = int(kept.record.columns["batch"].min())
        backends = dict.fromkeys(
            about["backend"]
            for about in kept.record.header["contestants"].values()
            if "backend" in about
        )
        for chosen in (EAGER, ""):
            for (peer, network), (what, words) in product(PEERS.items(), _OURS.items()):
                slow = _times(kept, batch, "peer", peer)
                ours = {
                    backend: found[0]
                    for backend in backends
                    if (found := _times(kept, batch, what, backend=backend))
                }
                fastest = chosen or min(ours, key=lambda each: _median(ours[each]), default="")
                if slow and fastest in ours and (chosen or fastest != EAGER):
                    where = f"{network}, {words}, {_BACKENDS.get(fastest, fastest)}"
                    yield _ratio(where, slow[0], ours[fastest], kept)


def draws(runs: Runs, claim: Claim) -> Iterator[Value]:
    """The median time of all draws over that of one, timed by turns in eager PyTorch, one image a
    call, with its bootstrap interval."""
    for kept in runs.get(ITEM, ()) if ITEM in claim.items else ():
        batch = int(kept.record.columns["batch"].min())
        one, every = (_times(kept, batch, what, backend=EAGER) for what in ("draw", "draws"))
        if one and every:
            yield _ratio("eager PyTorch, by turns", every[0], one[0], kept)


def _times(
    kept: Kept, batch: int, what: str, peer: str | None = None, backend: str | None = None
) -> list[Series]:
    """The timings at this batch size of each contestant of the kind ``what``."""
    header, columns = kept.record.header, kept.record.columns
    named: dict[str, dict[str, Any]] = header["contestants"]
    found = (
        _series(columns, (columns["batch"] == batch) & (columns["contestant"] == name))
        for name, about in named.items()
        if about["what"] == what
        and backend in (None, about.get("backend"))
        and (peer is None or (about.get("peer") == peer and about["settings"]["steps"] >= STEPS))
    )
    return [each for each in found if len(each.ms)]


def _median(series: Series) -> float:
    return float(np.median(series.ms))


def _series(columns: Columns, rows: NDArray[np.bool_]) -> Series:
    return Series(columns["round"][rows], columns["ms"][rows])


def _ratio(words: str, slow: Series, fast: Series, kept: Kept) -> Value:
    found = ratio(slow, fast)
    return Value(words, found.value, [kept], Interval(found.low, found.high))
