"""Pictures of a data set to one uint8 array, in threads; those of any size brought to one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from alp.config import FrameConfig
from alp.data.picture import read_picture
from alp.errors import DataError

Pixels = npt.NDArray[np.uint8]

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


def framed(pixels: Pixels, frame: FrameConfig) -> Pixels:
    """``pixels`` (H,W,3) as ``frame`` says: the smallest picture of the same proportions that
    holds the image and its margin, then the middle of it, as the transforms of pretrained
    classifiers do. A picture that has its size already stays as it is where nothing is cropped."""
    height, width = pixels.shape[:2]
    scale = max(frame.height / height, frame.width / width) / frame.crop
    tall = max(frame.height, round(height * scale))
    wide = max(frame.width, round(width * scale))
    if (tall, wide) != (height, width):
        image = Image.fromarray(pixels).resize((wide, tall), _RESAMPLING[frame.interpolation])
        pixels = np.asarray(image)
    top, left = (tall - frame.height) // 2, (wide - frame.width) // 2
    return pixels[top : top + frame.height, left : left + frame.width]


REPAIR = "resize all to one: --size N, or load_data(..., frame=FrameConfig(N, N))"
"""What makes pictures of several sizes images of one."""


def decode_one(picture: bytes | Path, name: str) -> npt.NDArray[np.uint8]:
    """A picture as sRGB, uint8 (H,W,3), turned as its EXIF orientation says; grey becomes three
    channels, what is transparent is laid over white.

    Raises:
        DataError: it is no picture that can be read, or one that would lose more than metadata,
            such as an animation; the message gives ``name``.
    """
    found = read_picture(picture, name)
    assert found is not None
    if found.lost:
        raise DataError(
            f"{name} would lose {' and '.join(found.lost)}: save it as one sRGB picture with "
            "8 bits a channel"
        )
    if found.alpha is None:
        return found.pixels
    opacity = found.alpha[..., None] / 255
    return np.rint(found.pixels * opacity + 255 * (1 - opacity)).astype(np.uint8)


def decode_all(
    pictures: Sequence[bytes | Path],
    names: Sequence[str],
    size: tuple[int, int] | None = None,
) -> npt.NDArray[np.uint8]:
    """All pictures as one uint8 array (N,H,W,3).

    ``size`` is the (height, width) that each has to have; without it the first one's.

    Raises:
        DataError: one cannot be decoded or has another size; the message gives its name.
    """
    height, width = size or decode_one(pictures[0], names[0]).shape[:2]
    out = np.empty((len(pictures), height, width, 3), np.uint8)

    def fill(rows: range) -> None:
        for row in rows:
            pixels = decode_one(pictures[row], names[row])
            if pixels.shape != out.shape[1:]:
                raise DataError(
                    f"{names[row]} is {pixels.shape[1]}x{pixels.shape[0]} pixels, expected "
                    f"{width}x{height} as the others: {REPAIR}"
                )
            out[row] = pixels

    chunks = [range(first, min(first + 512, len(out))) for first in range(0, len(out), 512)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, chunks))
    return out
