"""Dask: a cluster that is there, or one on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from alp.errors import AlpError, install
from alp.executors import EXECUTORS, Workers
from alp.executors.units import ATTEMPTS


@EXECUTORS.register("dask", order=2, summary="a Dask cluster")
@dataclass(frozen=True)
class Dask(Workers):
    """Units are tasks of a Dask cluster. Dask itself does a lost worker's tasks again."""

    address: str | None = None
    """Of the scheduler, such as tcp://host:8786; without one that of Dask's own setting
    (DASK_SCHEDULER_ADDRESS), or a cluster of --processes workers on this machine."""

    @contextmanager
    def start(self, count: int, threads: int) -> Iterator[Executor]:
        if find_spec("distributed") is None:
            raise AlpError(f"the executor dask needs Dask: {install('dask')}")
        dask: Any = import_module("dask")
        distributed: Any = import_module("distributed")
        killed = distributed.scheduler.KilledWorker

        # Its announcements would break the progress bar; that a worker is started again is told.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        logging.getLogger("distributed.nanny").setLevel(logging.WARNING)
        address = self.address or dask.config.get("scheduler-address", None)
        # A unit may import torch before it answers, during which no other thread of a worker runs.
        patient = {"distributed.comm.timeouts.connect": "60s", "distributed.admin.tick.limit": "1h"}
        with dask.config.set(patient):
            try:
                cluster = address or distributed.LocalCluster(
                    n_workers=count, threads_per_worker=1, dashboard_address=None
                )
                client = distributed.Client(cluster)
            except (OSError, TimeoutError, ValueError) as error:
                raise AlpError(
                    f"no Dask scheduler answers at {address or 'this machine'} ({error}); start "
                    "one with 'dask scheduler', and workers with 'dask worker ADDRESS'"
                ) from error
            try:
                executor = client.get_executor(pure=False)
                # Dask has started it again as often as its own setting says.
                executor.tried = lambda error: ATTEMPTS if isinstance(error, killed) else 1
                yield executor
            finally:
                client.close()
                if not isinstance(cluster, str):
                    cluster.close()
