"""Encoded pictures to uint8 arrays, in threads.

uint8 arrays to picture files.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from alp.errors import DataError
from alp.files import write_atomically

FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
"""Pillow's pixel modes of 8 bits a channel; it clips deeper ones to white instead of scaling."""


def decode_one(picture: bytes | Path, name: str) -> npt.NDArray[np.uint8]:
    """A picture as RGB, uint8 (H,W,3); transparency is dropped, grey becomes three channels.
    It is turned as its EXIF orientation says.

    Raises:
        DataError: it is not a whole PNG, JPEG, WebP or BMP picture; the message gives ``name``.
    """
    try:
        with Image.open(
            io.BytesIO(picture) if isinstance(picture, bytes) else picture, formats=FORMATS
        ) as image:
            if image.mode not in MODES:
                raise DataError(
                    f"{name} has pixels of mode {image.mode}, which cannot be made RGB without "
                    "guessing their range: save it with 8 bits a channel"
                )
            image.load()
            with suppress(Exception):  # a picture whose EXIF data is damaged is still one
                ImageOps.exif_transpose(image, in_place=True)
            return np.asarray(image.convert("RGB"))
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{name} does not exist: check the path") from error
    # Pillow's decoders answer damaged bytes with many kinds of exception
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "unknown format" if unknown else str(error) or type(error).__name__
        raise DataError(
            f"{name} is not a readable picture ({reason}): replace or remove it; "
            f"{', '.join(FORMATS)} can be read"
        ) from error


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
                    f"{width}x{height} as the others: resize all pictures to one size first"
                )
            out[row] = pixels

    chunks = [range(first, min(first + 512, len(out))) for first in range(0, len(out), 512)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, chunks))
    return out


def write_png(path: Path, pixels: npt.NDArray[np.uint8], modified_ns: int | None = None) -> None:
    """Write RGB pixels (H,W,3) as PNG, atomically; ``modified_ns`` is the file's time of
    modification, in nanoseconds since 1970, by default now."""

    def write(temporary: Path) -> None:
        Image.fromarray(pixels).save(temporary, "PNG")
        if modified_ns is not None:
            os.utime(temporary, ns=(modified_ns, modified_ns))

    write_atomically(path, write)
