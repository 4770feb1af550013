"""Purified copies on disk, each of which says what it was made from.

A copy has a stamp, a text chunk at the start of its PNG file: the digest of the picture's name,
size and time of modification, and of the recipe, which is the purifier's weights and the seed.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from alp import seeding
from alp.data.picture import Picture, write_png
from alp.defences import Purifier
from alp.defences.checkpoint import weights_digest

KEYWORD = "alp purify"
_START = len(b"\x89PNG\r\n\x1a\n") + 25  # the signature and the chunk IHDR
_LENGTH = 32


def recipe_of(purifier: Purifier, seed: int | None) -> str:
    """Digest (hex) of all that a copy depends on beside its picture; ``seed`` is None where the
    operating system seeds the noise."""
    noise = None
    if seed is not None:
        noise = seeding.generator(seed, "purify").get_state().numpy().tobytes().hex()
    parts = [weights_digest(purifier), purifier.describe(), noise]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def stamp_of(picture: Path, recipe: str) -> tuple[str, int]:
    """The stamp that the copy of a picture as it is now gets, and the picture's time of
    modification in nanoseconds since 1970.

    Raises:
        OSError: there is no such file, or it may not be looked at.
    """
    found = picture.stat()
    parts = f"{recipe} {found.st_size} {found.st_mtime_ns} ".encode() + os.fsencode(picture.name)
    return hashlib.sha256(parts).hexdigest()[:_LENGTH], found.st_mtime_ns


def read_stamp(copy: Path) -> str | None:
    """The stamp of a copy; None if there is no such file, or none in it."""
    if not copy.is_file():
        return None
    try:
        with copy.open("rb") as file:
            start = file.read(_START + 100)
    except OSError:
        return None
    chunk = start[_START + 4 :]
    before = b"tEXt" + KEYWORD.encode() + b"\0"
    if not chunk.startswith(before):
        return None
    return chunk[len(before) : len(before) + _LENGTH].decode("latin-1")


def write_copy(target: Path, picture: Picture, stamp: str, modified_ns: int) -> None:
    """Write a purified picture, with its alpha and metadata, and the time of modification of the
    one that it was made from.

    Raises:
        OutputError: it cannot be written.
    """
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = np.dstack([pixels, picture.alpha])
        pixels[picture.alpha == 0] = 0  # what cannot be seen is not published
    write_png(
        target,
        pixels,
        modified_ns=modified_ns,
        texts={KEYWORD: stamp},
        exif=picture.exif,
        dpi=picture.dpi,
    )
