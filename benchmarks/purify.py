"""Pictures a second of `alp purify` beside a plain loop (decode, purify, write, one picture after
the other), alternating in one run, and the memory that a long run holds. The pictures are noise,
written once and linked as often as needed; the copies are deleted as they are counted.

    python benchmarks/purify.py [--purifier W] [--pictures 100000] [--side 32] [--rounds 9]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from alp import seeding
from alp.config import PurifierConfig
from alp.data.decode import decode_one
from alp.data.picture import write_png
from alp.defences import Purifier
from alp.defences.base import channels_last
from alp.defences.packaged import load_purifier
from alp.serve.jobs import Job, find_jobs
from alp.serve.purifying import PicturePurifier

MASTERS = 64
"""Different pictures; the rest are links to them."""

FOLDER = 1000
"""Pictures in one folder."""


def plain(purifier: Purifier, jobs: Iterable[Job]) -> Iterator[Job]:
    """One picture after the other, as a script would do it."""
    for job in jobs:
        pixels = torch.from_numpy(decode_one(job.picture, str(job.picture)).copy())
        with torch.inference_mode():
            purified = purifier(pixels.permute(2, 0, 1)[None].float() / 255)[0]
        write_png(job.target, purified.mul(255).round().byte().permute(1, 2, 0).numpy())
        yield job


def streamed(purifier: Purifier, jobs: Iterable[Job]) -> Iterator[Job]:
    """As `alp purify` does it."""
    for outcome in PicturePurifier(purifier)(jobs):
        assert outcome.refused is None, outcome.refused
        yield outcome.job


WAYS = {"plain loop": plain, "alp purify": streamed}


def make_pictures(folder: Path, count: int, side: int) -> None:
    """``count`` pictures, in folders of ``FOLDER``, as links to ``MASTERS`` files."""
    random = np.random.default_rng(0)
    masters = folder / ".masters"  # hidden: no pictures of the run
    if not masters.exists():
        for number in range(MASTERS):
            pixels = random.integers(0, 256, (side, side, 3), np.uint8)
            write_png(masters / f"{number}.png", pixels)
    for number in range(count):
        place = folder / f"{number // FOLDER:06d}"
        place.mkdir(exist_ok=True)
        (place / f"{number:09d}.png").hardlink_to(masters / f"{number % MASTERS}.png")


def counted(done: Iterable[Job]) -> Iterator[int]:
    """How many are done so far; their copies are deleted."""
    for number, job in enumerate(done, 1):
        job.target.unlink()
        yield number


def held() -> float:
    """MiB of memory that this process holds. Of Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def speeds(purifier: Purifier, jobs: Sequence[Job], rounds: int) -> dict[str, list[float]]:
    """Pictures a second of each way in each round; one round more comes first, to warm up."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(-1, rounds):
        for name, way in WAYS.items():
            start = time.perf_counter()
            count = sum(1 for _ in counted(way(purifier, jobs)))
            if number >= 0:
                found[name].append(count / (time.perf_counter() - start))
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--purifier", type=Path, help="weights (default: untrained)")
    parser.add_argument("--pictures", type=int, default=100_000, help="of the long run")
    parser.add_argument("--side", type=int, default=32, help="height and width")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--each", type=int, default=500, help="pictures of a way in a round")
    options = parser.parse_args(arguments)
    if options.purifier:
        purifier = load_purifier(options.purifier)
    else:
        with seeding.initialising(0, "benchmark"):
            purifier = channels_last(Purifier(PurifierConfig())).eval()
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place, "in"), Path(place, "out")
        make_pictures(folder, max(options.pictures, options.each), options.side)
        few = list(islice(find_jobs([folder], out), options.each))
        found = speeds(purifier, few, options.rounds)
        ratio = statistics.median(
            ours / theirs
            for theirs, ours in zip(found["plain loop"], found["alp purify"], strict=True)
        )
        print(f"{options.side}x{options.side} pixels, {torch.get_num_threads()} threads of torch")
        for name, values in found.items():
            print(f"{name:12}{statistics.median(values):>10.0f} pictures/s")
        print(f"{'ratio':12}{ratio:>10.2f} (median of {options.rounds} rounds)")
        memory: dict[int, float] = {}
        jobs = islice(find_jobs([folder], out), options.pictures)
        for number in counted(streamed(purifier, jobs)):
            if number % max(1, options.pictures // 20) == 0:
                memory[number] = held()
                print(f"{number:>9,} pictures: {memory[number]:,.0f} MiB held", flush=True)
    return {"speeds": found, "ratio": ratio, "memory": memory}


if __name__ == "__main__":
    main()
