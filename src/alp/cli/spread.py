"""What the commands share whose units may run elsewhere: shares, executors, workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alp.cli.settings import Printed, among, given
from alp.config import positive, within
from alp.executors import EXECUTORS, Workers
from alp.executors.shares import Share

if TYPE_CHECKING:
    from alp.evaluation.crew import Crew


@dataclass(frozen=True, kw_only=True)
class Started(Printed):
    """Where the units of a command run."""

    executor: str = field(default="processes", metadata=among(EXECUTORS))
    """Where the units run (docs/cluster.md); it decides about --workers."""
    workers: Workers = field(metadata=given(lambda by: EXECUTORS[by["executor"]](), "executor"))
    """The executor's settings."""
    processes: int = 1
    """Workers that share out the units. One is this process, unless another executor is asked
    for."""
    threads: int = 0
    """Processor threads of each worker, on which the last bit of a result depends; 0 for what the
    executor has: all cores shared out among processes, 1 elsewhere."""

    def __post_init__(self) -> None:
        positive(self, "processes")
        within(self, 0, 10_000, "threads")

    @property
    def crew(self) -> Crew:
        """The workers."""
        from alp.evaluation.crew import Crew

        return Crew(None, self.processes, self.threads or None, self.workers)


@dataclass(frozen=True, kw_only=True)
class Spread(Started):
    """Which units a command does, and where."""

    share: str | None = None
    """K/N: do this share of the units, and end; 'alp gather' makes the record of all. In an array
    of jobs auto (Slurm) or auto/N (Kubernetes). By default the setting ALP_SHARE, or all units."""

    def __post_init__(self) -> None:
        super().__post_init__()
        Share.of(self.share)

    @property
    def own_share(self) -> Share | None:
        """The share of this command."""
        return Share.of(self.share)
