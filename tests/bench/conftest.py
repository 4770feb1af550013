"""A record with known timings, and a benchmark of a tiny model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from alp.bench import bench
from alp.bench.roofline import SIDES
from alp.defences import Defended
from alp.defences.base import Peer
from alp.deploy.consensus import Consensus
from alp.records import KIND_BENCH, Record

FLOPS = {"encoder": 1000, "draw": 100}


@dataclass(frozen=True)
class Terms:
    """The smallest run there is."""

    batches: tuple[int, ...] = (1,)
    backends: tuple[str, ...] = ("eager",)
    threads: tuple[int, ...] = (1,)
    precisions: tuple[str, ...] = ("float32",)
    consensus: Consensus = field(default_factory=lambda: Consensus(draws=3))
    rounds: int = 4
    seconds: float = 60.0
    seed: int = 0


@pytest.fixture(autouse=True)
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices small enough for a test."""
    monkeypatch.setitem(SIDES, "cpu", (32, 64))


@pytest.fixture
def run_bench(new_classifier, new_purifier, new_images) -> Callable[..., Record]:
    """Time a tiny model on these terms."""

    def run(peers: dict[str, Peer] | None = None, images: Tensor | None = None, **terms: Any):
        model = Defended(new_classifier(), new_purifier(), draws=3).eval()
        pool = new_images(8, 16, 16) if images is None else images
        return bench(model, pool, Terms(**terms), name="tiny", peers=peers or {})

    return run


@pytest.fixture
def record_of() -> Callable[..., Record]:
    """A record of these contestants: (batch, what, backend) to milliseconds in each round."""

    def make(timings: dict[tuple[int, str, str], list[float]], draws: float = 20) -> Record:
        contestants: dict[str, Any] = {}
        rows: list[tuple[int, str, int, float, float]] = []
        for (batch, what, backend), values in timings.items():
            name = f"{what} {backend}"
            taken = {"draw": 1.0, "draws": draws, "consensus": draws / 2}.get(what, math.nan)
            about = {"what": what, "threads": 2, "precision": "float32", "backend": backend}
            if what == "peer":
                about = {"what": what, "threads": 2, "peer": backend}
            if what == "peak":
                about["flops"] = 6000
            contestants[name] = about
            rows += [(batch, name, number, ms, taken) for number, ms in enumerate(values)]
        header = {
            "kind": KIND_BENCH,
            "name": "toy",
            "device": "a processor",
            "contestants": contestants,
            "flops": FLOPS,
            "consensus": {"draws": int(draws)},
            "size": [32, 32],
            "threads": [2],
            "rounds": 3,
            "warnings": [],
        }
        names = ("batch", "contestant", "round", "ms", "draws")
        columns = {
            name: np.array(values)
            for name, values in zip(names, zip(*rows, strict=True), strict=True)
        }
        return Record(header, columns)

    return make


@pytest.fixture
def toy(record_of) -> Record:
    """Two backends, a peer and the peak, each with times that do not scatter."""
    return record_of(
        {
            (1, "draw", "eager"): [2.0] * 3,
            (1, "draws", "eager"): [22.0] * 3,
            (1, "consensus", "eager"): [6.0] * 3,
            (1, "draw", "fast"): [1.0] * 3,
            (1, "draws", "fast"): [8.0] * 3,
            (1, "consensus", "fast"): [1.0, 1.0, 4.0],
            (1, "peak", ""): [4.0] * 3,
            (1, "peer", "diffpure"): [900.0] * 3,
        }
    )
