"""Pictures in, purified copies out: decoding, purifying and writing overlap, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alp import seeding
from alp.data.decode import decode_one
from alp.data.encode import write_png
from alp.errors import DataError
from alp.evaluation import psnr
from alp.models import Purifier
from alp.workflows.overlap import ahead
from alp.workflows.pictures import Job, modified_ns

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
