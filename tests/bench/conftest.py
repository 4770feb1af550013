"""A benchmark of a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from torch import Tensor

from alp.bench import bench
from alp.bench.roofline import SIDES
from alp.defences import Defended
from alp.defences.preprocessed import Preprocessed
from alp.deploy.consensus import Consensus
from alp.records import Record


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

    def run(
        baselines: dict[str, Preprocessed] | None = None, images: Tensor | None = None, **terms: Any
    ):
        model = Defended(new_classifier(), new_purifier(), draws=3).eval()
        pool = new_images(8, 16, 16) if images is None else images
        return bench(model, pool, Terms(**terms), name="tiny", baselines=baselines or {})

    return run
