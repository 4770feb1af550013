"""Pictures in, purified copies out: decoding, purifying and writing overlap, in bounded memory."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch

from alp import seeding
from alp.data.picture import Bytes, Picture, read_picture
from alp.data.quality import psnr
from alp.defences import Purifier
from alp.errors import AlpError, DataError
from alp.serve.copies import recipe_of, stamp_of, write_copy
from alp.serve.jobs import Job
from alp.serve.overlap import ahead
from alp.serve.tiles import purify_tiled

PIXELS = 64 * 32 * 32
"""Pixels that are purified at a time. A larger picture is purified alone, and decoded only when
its turn comes."""

WHOLE = 2**20
"""Pixels of the largest picture that is purified whole, which takes 0.3 GB; larger ones are
purified in tiles."""

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
    """The picture and its copy; it says if the picture was skipped."""
    stamp: str | None = None
    """What the picture was when it was read; None where it could not be looked at."""
    refused: str | None = None
    """Why there is no copy; None where there is one, or the picture was skipped."""
    psnr: float = math.nan
    """PSNR in dB of the copy."""
    lost: tuple[str, ...] = ()
    """What of the picture the copy lacks, in words."""
    dropped: tuple[str, ...] = ()
    """Kinds of metadata that the copy lacks, in words."""


@dataclass(frozen=True, eq=False)
class _Item:
    """A picture on its way: as decoded, then as purified."""

    outcome: Outcome
    modified_ns: int = 0
    picture: Picture | None = None
    """None of what is refused or skipped, and of a large picture whose turn has not come."""

    @property
    def ended(self) -> bool:
        """Whether there is nothing to do for it."""
        return self.outcome.refused is not None or self.outcome.job.skipped is not None

    def refused(self, reason: str) -> _Item:
        return _Item(replace(self.outcome, refused=reason))


class PicturePurifier:
    """Writes purified copies of pictures.

    Pictures of one size are purified together, each with noise of its own, seeded by the operating
    system. With ``seed`` each is purified alone from the noise of that seed, so that its copy
    depends on nothing else; this is slower where pictures are small.

    Args:
        threads: how many decode, and how many write; 0 for as many as there are processors.
    """

    def __init__(self, purifier: Purifier, seed: int | None = None, threads: int = 0) -> None:
        self.purifier = purifier
        self.seed = seed
        self.threads = threads or max(2, os.cpu_count() or 1)
        self.recipe = recipe_of(purifier, seed)

    def __call__(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Write the purified copy of each picture; the outcomes as they come. A picture without a
        copy is refused with its reason, and the others are written all the same."""
        decoded = ahead(
            self._decode,
            jobs,
            threads=self.threads,
            most=UNDER_WAY,
            cost=_file_size,
            budget=COMPRESSED,
        )
        purified = (
            each
            for batch in batched(decoded, PIXELS if self.seed is None else 1)
            for each in self._purify(batch)
        )
        return ahead(
            _write, purified, threads=self.threads, most=UNDER_WAY, cost=_raw_size, budget=RAW
        )

    def _decode(self, job: Job) -> _Item:
        if job.refused or job.skipped:
            return _Item(Outcome(job, refused=job.refused))
        stamp, modified_ns = None, 0
        with suppress(OSError, ValueError):  # reading it will say why
            # Before it is read: a change in between makes the copy an old one.
            stamp, modified_ns = stamp_of(job.picture, self.recipe)
        return _read(_Item(Outcome(job, stamp), modified_ns), PIXELS)

    def _purify(self, batch: list[_Item]) -> list[_Item]:
        if batch[0].picture is None and not batch[0].ended:
            batch = [_read(batch[0])]
        if batch[0].ended:
            return batch
        try:
            return self._purified(batch)
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
                raise
            return [each.refused(f"{each.outcome.job.picture} is too large") for each in batch]

    def _purified(self, batch: list[_Item]) -> list[_Item]:
        seen = [_without_hidden_colours(each.picture) for each in batch if each.picture]
        source = seeding.entropy() if self.seed is None else seeding.generator(self.seed, "purify")
        with torch.inference_mode():
            if seen[0].shape[0] * seen[0].shape[1] > WHOLE:
                tiled, value = purify_tiled(self.purifier, seen[0], source)
                pixels, decibels = tiled[None], [value]
            else:
                x = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).float() / 255
                purified = self.purifier(x, source)
                decibels = psnr(x, purified).tolist()
                pixels = purified.mul(255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        return [_done(*each) for each in zip(batch, pixels, decibels, strict=True)]


def batched(items: Iterable[_Item], full: int) -> Iterator[list[_Item]]:
    """Pictures of one size together, until they have ``full`` pixels; the largest group goes
    first where too many pixels wait. What has no pixels is a group of its own."""
    waiting: dict[tuple[int, ...], list[_Item]] = {}
    held = 0
    for item in items:
        if item.picture is None:
            yield [item]
            continue
        size = item.picture.pixels.shape[:2]
        waiting.setdefault(size, []).append(item)
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
    except (OSError, ValueError):
        return 0  # decoding will say so


def _raw_size(item: _Item) -> int:
    return 0 if item.picture is None else item.picture.pixels.nbytes


def _read(item: _Item, at_most: int | None = None) -> _Item:
    """The item with its picture, or refused; as it was where the picture has too many pixels."""
    path = item.outcome.job.picture
    try:
        picture = read_picture(path, str(path), at_most)
    except DataError as error:
        return item.refused(str(error))
    if picture is None:
        return item
    outcome = Outcome(
        item.outcome.job, item.outcome.stamp, lost=picture.lost, dropped=picture.dropped
    )
    return _Item(outcome, item.modified_ns, picture)


def _without_hidden_colours(picture: Picture) -> Bytes:
    """The pixels (H,W,3), where nothing is seen in the mean of the colours that are: what is
    hidden does not reach the pixels beside it."""
    if picture.alpha is None:
        return picture.pixels
    seen = picture.alpha > 0
    mean = picture.pixels[seen].mean(0).round() if seen.any() else 0
    return np.where(seen[..., None], picture.pixels, mean).astype(np.uint8)


def _done(item: _Item, pixels: Bytes, decibels: float) -> _Item:
    if math.isnan(decibels):
        return item.refused(
            f"{item.outcome.job.picture} became no picture: the purifier gives values that are "
            "not finite; train it again"
        )
    assert item.picture is not None
    # In place of the pixels as they were, which are not needed while the copy is written.
    picture = replace(item.picture, pixels=pixels)
    return _Item(replace(item.outcome, psnr=decibels), item.modified_ns, picture)


def _write(item: _Item) -> Outcome:
    outcome = item.outcome
    if item.picture is None:
        return outcome
    if outcome.stamp is None:  # it came after it had been looked for
        return replace(outcome, refused=f"{outcome.job.picture} was changed while it was read")
    try:
        write_copy(outcome.job.target, item.picture, outcome.stamp, item.modified_ns)
    except AlpError as error:
        return replace(outcome, refused=str(error))
    return outcome
