"""The benchmark: speed of a defended model in every backend, beside its peers, in one run.

Importing this package imports no torch: what needs it is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alp.bench.peers import PEERS, Peer
from alp.lazy import lazily

if TYPE_CHECKING:
    from alp.bench.plot import write_plot
    from alp.bench.run import Consensus, bench
    from alp.bench.summary import KIND_BENCH, rows
    from alp.bench.targets import TARGETS, judge

__all__ = [
    "KIND_BENCH",
    "PEERS",
    "TARGETS",
    "Consensus",
    "Peer",
    "bench",
    "judge",
    "rows",
    "write_plot",
]

_HOMES = {
    "KIND_BENCH": "summary",
    "TARGETS": "targets",
    "Consensus": "run",
    "bench": "run",
    "judge": "targets",
    "rows": "summary",
    "write_plot": "plot",
}

__getattr__ = lazily(__name__, _HOMES)
