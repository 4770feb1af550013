"""Picture files as 8-bit sRGB pixels with alpha, and what of a file that leaves out."""

from __future__ import annotations

import io
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from alp.errors import DataError
from alp.files import write_atomically

Bytes = npt.NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")

_JPEG, _TIFF = (".jpg", ".jpeg", ".jpe", ".jfif"), (".tif", ".tiff")
SUFFIXES = (".png", *_JPEG, ".webp", ".bmp", ".dib", ".gif", *_TIFF)
"""Suffixes of files of these formats, in small letters."""

DEEP = ("I;16", "I;16B", "I;16L")
"""Pillow's modes of 16 bits a pixel. It clips them to white instead of scaling."""

GREY = ("1", "L", "LA", "La", *DEEP)
MODES = (*GREY, "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
"""Pillow's modes whose range is known."""

PROFILES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Colour space of an ICC profile to the mode of the pixels that it describes."""

SRGB_GAMMA = 1 / 2.2

TIFF_TEXTS = (270, 271, 272, 305, 306, 315, 700, 33432, 33723, 34665, 34853)
"""TIFF tags that describe the picture: texts, XMP, IPTC, EXIF and GPS."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, turned as its EXIF orientation says."""

    pixels: Bytes
    """sRGB, (H,W,3)."""
    alpha: Bytes | None = None
    """Opacity, (H,W); None where all of it is opaque."""
    exif: bytes = b""
    """EXIF data without the orientation and the thumbnail; empty where there is none."""
    dpi: tuple[float, float] | None = None
    """Pixels an inch, across and down."""
    lost: tuple[str, ...] = ()
    """What of the picture itself is left out, in words."""
    dropped: tuple[str, ...] = ()
    """Kinds of metadata that are left out, in words."""


def read_picture(picture: bytes | Path, name: str, at_most: int | None = None) -> Picture | None:
    """Decode the first picture in a file, in sRGB by its colour profile.

    Args:
        name: what messages call it.
        at_most: pixels of the largest picture that is decoded; None stands for a larger one.

    Raises:
        DataError: it is no file, or not a whole picture of ``FORMATS``.
    """
    try:
        with (
            io.BytesIO(picture) if isinstance(picture, bytes) else _open(picture, name) as file,
            Image.open(file, formats=FORMATS) as image,
        ):
            if at_most is not None and image.width * image.height > at_most:
                return None
            return _decode(image, name)
    except DataError:
        raise
    # Pillow's decoders answer damaged bytes with many kinds of exception
    except Exception as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{name} does not exist: check the path, or its link") from error
        if isinstance(error, OSError) and error.errno:
            raise DataError(f"{name} cannot be read ({error.strerror}): check it") from error
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "unknown format" if unknown else str(error) or type(error).__name__
        raise DataError(
            f"{name} is not a readable picture ({reason}): replace or remove it; "
            f"{', '.join(FORMATS)} can be read"
        ) from error


def write_png(
    path: Path,
    pixels: Bytes,
    *,
    modified_ns: int | None = None,
    texts: Mapping[str, str] | None = None,
    exif: bytes = b"",
    dpi: tuple[float, float] | None = None,
) -> None:
    """Write sRGB pixels (H,W,3), or (H,W,4) with alpha, as PNG, atomically.

    Args:
        modified_ns: time of modification of the file, in nanoseconds since 1970; by default now.
        texts: text chunks by keyword, in Latin-1; they come first in the file.

    Raises:
        OutputError: it cannot be written.
    """
    chunks = PngImagePlugin.PngInfo()
    for keyword, text in (texts or {}).items():
        chunks.add_text(keyword, text)
    extra = {key: value for key, value in (("exif", exif), ("dpi", dpi)) if value}

    def write(temporary: Path) -> None:
        Image.fromarray(pixels).save(temporary, "PNG", pnginfo=chunks, **extra)
        if modified_ns is not None:
            os.utime(temporary, ns=(modified_ns, modified_ns))

    write_atomically(path, write)


def _open(path: Path, name: str) -> BinaryIO:
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = {
            stat.S_IFDIR: "a folder",
            stat.S_IFIFO: "a FIFO",
            stat.S_IFSOCK: "a socket",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
        }
        kind = kinds.get(stat.S_IFMT(mode), "no file")
        raise DataError(f"{name} is {kind}: give a file that holds a picture")
    # A FIFO that has taken the file's place meanwhile would be waited for, maybe forever.
    nonblocking = getattr(os, "O_NONBLOCK", 0)
    return open(path, "rb", opener=lambda place, flags: os.open(place, flags | nonblocking))


def _decode(image: Image.Image, name: str) -> Picture:
    if image.mode not in MODES:
        raise DataError(
            f"{name} has pixels of mode {image.mode}, which cannot be made RGB without guessing "
            "their range: save it with 8 bits a channel"
        )
    lost = []
    if ";16" in repr(getattr(image, "tile", "")):
        lost.append("8 of its 16 bits a channel")
    if _has_more(image):
        lost.append("all but the first of its frames or pages")
    image.load()
    exif, dropped = _metadata(image)
    profile, gamma = image.info.get("icc_profile"), image.info.get("gamma")
    grey = image.mode in GREY
    colours, alpha = _apart(image)
    if profile:
        try:
            colours = _in_srgb(colours, profile, grey)
        except Exception as error:  # profiles are other people's data, as damaged as pictures
            lost.append(f"its colour profile, which cannot be used ({error})")
    elif gamma and "srgb" not in image.info and abs(gamma - SRGB_GAMMA) > 0.01:
        lost.append(f"its gamma {gamma:.3g}, which is not sRGB's and was not applied")
    rgb = colours if colours.mode == "RGB" else colours.convert("RGB")
    return Picture(np.asarray(rgb), alpha, exif, _dpi(image), tuple(lost), dropped)


def _has_more(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # what follows the first picture is damaged
        return True


def _apart(image: Image.Image) -> tuple[Image.Image, Bytes | None]:
    """Colours and alpha of a picture, both of 8 bits."""
    if image.mode in DEEP:
        levels = np.asarray(image).astype(np.uint32)
        # TIFF's PhotometricInterpretation 0: white is zero
        tags: Any = getattr(image, "tag_v2", {})
        shown = 65535 - levels if tags.get(262) == 0 else levels
        eight = Image.fromarray(((shown * 255 + 32767) // 65535).astype(np.uint8))
        clear = image.info.get("transparency")
        return eight, _opacity(np.where(levels == clear, 0, 255).astype(np.uint8))
    if not image.has_transparency_data:
        return image, None
    rgba = image.convert("RGBA")
    return rgba.convert("RGB"), _opacity(np.asarray(rgba.getchannel("A")))


def _opacity(alpha: Bytes) -> Bytes | None:
    return None if (alpha == 255).all() else alpha


def _in_srgb(image: Image.Image, profile: bytes, grey: bool) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space
    mode = PROFILES.get(space)
    if mode is None or (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not grey):
        raise ValueError(f"it is of {space.strip()} colours, the picture of {image.mode}")
    pixels = image if image.mode == mode else image.convert(mode)
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(pixels, source, target, outputMode="RGB")
    assert converted is not None
    return converted


def _metadata(image: Image.Image) -> tuple[bytes, tuple[str, ...]]:
    """EXIF data to keep, and the kinds of metadata that are dropped; the picture is turned."""
    info, exif = image.info, b""
    dropped = []
    if image.format == "TIFF":  # its EXIF data is mixed with the layout of its file
        if set(TIFF_TEXTS) & set(getattr(image, "tag_v2", {})):
            dropped.append("TIFF tags")
        ImageOps.exif_transpose(image, in_place=True)
    else:
        try:
            if len(image.getexif()):
                ImageOps.exif_transpose(image, in_place=True)
                exif = image.getexif().tobytes()
            damaged = bool(info.get("exif")) and not exif
        except Exception:  # a picture whose EXIF data is damaged is still one
            damaged = True
        if damaged:
            dropped.append("damaged EXIF data")
    if "xmp" in info or "XML:com.adobe.xmp" in info:
        dropped.append("XMP")
    if "photoshop" in info:
        dropped.append("IPTC")
    texts = set(getattr(image, "text", {})) - {"XML:com.adobe.xmp", "Raw profile type exif"}
    if texts or info.get("comment"):
        dropped.append("texts")
    return exif, tuple(dropped)


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = map(float, image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    usable = all(math.isfinite(value) and 1 <= value <= 1e5 for value in (across, down))
    return (across, down) if usable else None
