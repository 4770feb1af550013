"""The benchmark: speed of a defended model in every backend, beside other defences, in one run.

Importing this package imports no torch: what needs it is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.lazy import lazily

if TYPE_CHECKING:
    from alp.bench.latency import Latency, measure, profile
    from alp.bench.run import Consensus, bench

__all__ = ["Consensus", "Latency", "bench", "measure", "profile"]

__getattr__ = lazily(
    __name__,
    {
        "alp.bench.latency": ("Latency", "measure", "profile"),
        "alp.bench.run": ("Consensus", "bench"),
    },
)
