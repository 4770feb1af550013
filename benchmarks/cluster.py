"""What executors cost: start-up, memory, and 200 units of about a second on two workers.

    python benchmarks/cluster.py serial processes dask submitit ray

A unit waits, so that the time beyond its own is the executor's. The first line is one worker; the
ratio of each executor is its wall time over the serial one, of which two workers can make half.
Memory is that of all processes beside this one once the units are done, with units that import
nothing: workers of an evaluation hold torch and a model each besides.
"""

from __future__ import annotations

import argparse
import os
import time

import psutil

from alp.executors import EXECUTORS
from alp.executors.units import run_units


def wait(seconds: float) -> int:
    """A unit; returns the process that did it."""
    time.sleep(seconds)
    return os.getpid()


def measured(name: str, durations: list[float], workers: int) -> dict[str, float]:
    """Seconds of start-up and of all units, megabytes, and workers that took part."""
    begun = time.perf_counter()
    seen: list[int] = []
    with EXECUTORS[name]().start(workers, 1) as executor:
        executor.submit(wait, 0.0).result()
        first = time.perf_counter()
        run_units(
            executor,
            range(len(durations)),
            lambda unit: executor.submit(wait, durations[unit]),
            lambda unit, process: seen.append(process) or [],
            str,
            print,
        )
        done = time.perf_counter()
        memory = 0
        for child in psutil.Process().children(recursive=True):
            try:
                memory += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
    return {
        "start": first - begun,
        "wall": done - first,
        "memory": memory / 1e6,
        "workers": len(set(seen)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["serial", "processes"])
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a unit, on average")
    options = parser.parse_args()
    count = options.units
    # From half to one and a half times the average, short and long ones by turns.
    durations = [options.seconds * (0.5 + (37 * each % count) / count) for each in range(count)]
    serial = sum(durations)
    print(f"{options.units} units, {serial:.1f} s of waiting in all")
    for name in options.names:
        found = measured(name, durations, 1 if name == "serial" else 2)
        beyond = 1000 * (found["wall"] * found["workers"] - serial) / count
        print(
            f"{name:<10} start {found['start']:6.2f} s, wall {found['wall']:7.1f} s, "
            f"{found['wall'] / serial:.3f} of serial, {beyond:6.1f} ms beyond each unit, "
            f"{found['memory']:6.0f} MB, {found['workers']:.0f} workers",
            flush=True,
        )


if __name__ == "__main__":
    main()
