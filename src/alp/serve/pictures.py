"""Pictures in, purified copies out: decoding, purifying and writing overlap, in constant memory.

Which pictures are purified, and where their copies go.

Work in threads ahead of whoever takes the results, with a bound on what is under way.

What is to be purified in folders that change.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from alp import seeding
from alp.data.decode import decode_one, write_png
from alp.data.quality import psnr
from alp.defences import Purifier
from alp.errors import ConfigError, DataError

SUFFIX = "-purified.png"
"""What stands in place of a picture's suffix in the name of its copy."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""Suffixes of the files of a folder that are taken for pictures, in small or capital letters."""


@dataclass(frozen=True)
class Job:
    """A picture, and the file that its purified copy becomes."""

    picture: Path
    target: Path


def find_jobs(given: Sequence[Path], out: Path) -> Iterator[Job]:
    """The jobs of files and folders, one after the other; of folders at any depth, sorted by name.

    A file's copy goes to ``out``, a folder's pictures to the same place below ``out`` as they have
    below the folder (below the folder's name where several are given). Hidden files, links to
    folders and purified copies are passed over in folders. The names of one folder at a time are
    held in memory.

    Raises:
        ConfigError: two pictures would get one name, or a given picture would be overwritten.
        OSError: a folder cannot be read.
    """
    folders = list(dict.fromkeys(path for path in given if path.is_dir()))
    files = _file_jobs([path for path in given if not path.is_dir()], out)
    inputs = {name for job in files.values() if (name := _identity(job.picture))}
    for job in files.values():
        _require_no_input(job, inputs)
        yield job
    roots: dict[Path, Path] = {}
    for folder in folders:
        root = out if len(folders) == 1 else out / folder.resolve().name
        if root in roots:
            raise ConfigError(
                f"{roots[root]} and {folder} would both be purified into {root}; purify them one "
                "after the other, with another --out"
            )
        roots[root] = folder
    for root, folder in roots.items():
        for job in _folder_jobs(folder, root):
            same = files.get(job.target)
            if same and _identity(same.picture) != _identity(job.picture):
                _refuse_pair(same.picture, job)
            if not same:
                _require_no_input(job, inputs)
                yield job


def _file_jobs(pictures: Sequence[Path], out: Path) -> dict[Path, Job]:
    """Target to job."""
    jobs: dict[Path, Job] = {}
    for picture in pictures:
        job = Job(picture, out / (picture.stem + SUFFIX))
        other = jobs.setdefault(job.target, job)
        if other.picture != picture:
            _refuse_pair(other.picture, job)
    return jobs


def _folder_jobs(folder: Path, out: Path) -> Iterator[Job]:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # removed meanwhile
            raise error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        jobs: dict[str, Path] = {}
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            hidden, copy = name.startswith("."), name.lower().endswith(SUFFIX)
            if suffix.lower() not in SUFFIXES or hidden or copy:
                continue
            below = Path(place).relative_to(folder)
            job = Job(Path(place, name), out / below / (stem + SUFFIX))
            if stem in jobs:
                _refuse_pair(jobs[stem], job)
            jobs[stem] = job.picture
            yield job


def modified_ns(path: Path) -> int | None:
    """Time of modification in nanoseconds since 1970; None if there is no such file."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from all others, whatever it is called; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _require_no_input(job: Job, inputs: set[tuple[int, int]]) -> None:
    if inputs and _identity(job.target) in inputs:
        raise ConfigError(
            f"{job.target} is one of the pictures and would be overwritten; give another folder "
            "with --out"
        )


def _refuse_pair(other: Path, job: Job) -> None:
    raise ConfigError(
        f"{other} and {job.picture} would both become {job.target}; purify them into two folders"
    )


Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    most: int,
    cost: Callable[[Item], float],
    budget: float,
) -> Iterator[Result]:
    """``function`` of each item, in order, computed by ``threads`` threads before it is asked for.

    At most ``most`` items are under way, started and not taken yet, and their ``cost`` together
    stays within ``budget``, unless one item alone is above it. ``items`` is read as needed, in the
    thread of the caller. An error is raised where its result would have been; what has been
    started then, or when the iterator is closed, is finished.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[tuple[Future[Result], float]] = deque()
    held = 0.0
    try:
        for item in items:
            price = cost(item)
            while waiting and (len(waiting) >= most or held + price > budget):
                first, paid = waiting.popleft()
                held -= paid
                yield first.result()
            waiting.append((pool.submit(function, item), price))
            held += price
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


PIXELS = 64 * 32 * 32
"""Pixels that are purified at a time, a larger picture alone."""

HELD = 4 * PIXELS
"""Pixels that wait for others of their size."""

UNDER_WAY = 128
"""Pictures that are being decoded, or written, at a time."""

COMPRESSED, RAW = 2**24, 2**26
"""Bytes of the files that are being decoded, and of the arrays that are being written, at a
time."""


@dataclass(frozen=True)
class Outcome:
    """What became of a picture."""

    job: Job
    """The picture and its copy."""
    modified_ns: int | None
    """The picture's time of modification when it was read; None if there was no such file."""
    refused: str | None = None
    """Why there is no copy; None where there is one."""
    psnr: float = float("nan")
    """PSNR in dB of the copy."""


@dataclass(frozen=True, eq=False)
class _Picture:
    """A picture on its way: as decoded, then as purified."""

    outcome: Outcome
    pixels: NDArray[Any]


def purify_pictures(
    purifier: Purifier, jobs: Iterable[Job], seed: int | None = None, threads: int = 0
) -> Iterator[Outcome]:
    """Write the purified copy of each picture, with the picture's time of modification; the
    outcomes as they come. What is no picture is refused, and the others are written all the same.

    Pictures of one size are purified together, each with noise of its own, seeded by the operating
    system. With ``seed`` each is purified alone from the noise of that seed, so that to the last
    bit its copy depends on nothing else; this is slower where pictures are small.

    Args:
        threads: how many decode, and how many write; 0 for as many as there are processors.
    """
    threads = threads or max(2, os.cpu_count() or 1)
    decoded = ahead(
        _decode, jobs, threads=threads, most=UNDER_WAY, cost=_file_size, budget=COMPRESSED
    )
    purified = (
        each
        for batch in batched(decoded, PIXELS if seed is None else 1)
        for each in _purify(purifier, batch, seed)
    )
    return ahead(
        _write,
        purified,
        threads=threads,
        most=UNDER_WAY,
        cost=lambda picture: picture.pixels.nbytes,
        budget=RAW,
    )


def batched(pictures: Iterable[_Picture], full: int) -> Iterator[list[_Picture]]:
    """Pictures of one size together, until they have ``full`` pixels; the largest group goes
    first where too many pixels wait. What was refused is a group of its own."""
    waiting: dict[tuple[int, ...], list[_Picture]] = {}
    held = 0
    for picture in pictures:
        if picture.outcome.refused is not None:
            yield [picture]
            continue
        size = picture.pixels.shape[:2]
        waiting.setdefault(size, []).append(picture)
        held += _area(size)
        if (len(waiting[size]) + 1) * _area(size) <= full:
            if held <= HELD:
                continue
            size = max(waiting, key=lambda key: len(waiting[key]) * _area(key))
        group = waiting.pop(size)
        held -= len(group) * _area(size)
        yield group
    yield from waiting.values()


def _area(size: tuple[int, ...]) -> int:
    return size[0] * size[1]


def _file_size(job: Job) -> int:
    try:
        return job.picture.stat().st_size
    except OSError:
        return 0  # decoding will say so


def _decode(job: Job) -> _Picture:
    nothing = np.empty((0, 0, 3), np.uint8)
    # Before it is read: a change in between makes the copy an old one.
    outcome = Outcome(job, modified_ns(job.picture))
    try:
        return _Picture(outcome, decode_one(job.picture, str(job.picture)))
    except DataError as error:
        return _Picture(replace(outcome, refused=str(error)), nothing)


def _purify(purifier: Purifier, batch: list[_Picture], seed: int | None) -> Iterator[_Picture]:
    if batch[0].outcome.refused is not None:
        yield from batch
        return
    x = torch.from_numpy(np.stack([each.pixels for each in batch])).permute(0, 3, 1, 2)
    x = x.float() / 255
    source = seeding.entropy() if seed is None else seeding.generator(seed, "purify")
    with torch.inference_mode():
        purified = purifier(x, source)
        decibels = psnr(x, purified).tolist()
    pixels = purified.mul(255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    for picture, own, value in zip(batch, pixels, decibels, strict=True):
        yield _Picture(replace(picture.outcome, psnr=value), own)


def _write(picture: _Picture) -> Outcome:
    outcome = picture.outcome
    if outcome.refused is None:
        write_png(outcome.job.target, picture.pixels, outcome.modified_ns)
    return outcome


SETTLED = 2 * 10**9
"""Nanoseconds for which a picture has to be left alone, since it may still be written; two changes
are told apart, on file systems with coarse times too, as long as they are further apart."""


class Watch:
    """Folders, and the pictures in them that have no up-to-date copy.

    A copy has its picture's time of modification, so that what is done is seen on disk: nothing
    is kept in memory but the refused pictures, which have no copy.
    """

    pause = 1.0
    """Seconds between two sweeps."""

    def __init__(self, folders: Sequence[Path], out: Path) -> None:
        self._folders, self._out = folders, out
        self._refused: dict[Path, int] = {}

    @property
    def refused(self) -> int:
        """How many pictures are refused as they are now."""
        return len(self._refused)

    def sweep(self) -> Iterator[Job]:
        """The pictures to purify now.

        Raises:
            ConfigError: two pictures would get one name.
        """
        now = time.time_ns()
        self._refused = {each: at for each, at in self._refused.items() if modified_ns(each)}
        for job in find_jobs(self._folders, self._out):
            changed = modified_ns(job.picture)
            if changed is None or abs(now - changed) < SETTLED:
                continue
            done = self._refused.get(job.picture, modified_ns(job.target))
            if done is None or abs(done - changed) >= SETTLED:
                yield job

    def remember(self, outcome: Outcome) -> None:
        """Take note of what became of a picture, so that it is not tried again as it is."""
        if outcome.refused is None or outcome.modified_ns is None:
            self._refused.pop(outcome.job.picture, None)
        else:
            self._refused[outcome.job.picture] = outcome.modified_ns
