"""Pictures in sRGB, with alpha and metadata; what is left out is said."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from alp.data.picture import read_picture, write_png
from alp.errors import DataError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (5, 7, 3), np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def deep_png(levels: np.ndarray, colour: int) -> bytes:
    """A PNG of 16 bits a channel, (H,W,C), which Pillow cannot write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def swapped_profile() -> bytes:
    """sRGB whose red is called green: a conversion cannot be missed."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def grey_profile() -> bytes:
    """Linear grey of white D50: a curve of gamma 1."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv\0\0\0\0" + struct.pack(">I", 0)
    text = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"g\0" + bytes(78)
    offset, tags, data = 128 + 4 + 3 * 12, b"", b""
    for name, content in ((b"wtpt", white), (b"kTRC", curve), (b"desc", text)):
        tags += name + struct.pack(">II", offset + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    body = struct.pack(">I", 3) + tags + data
    head = struct.pack(
        ">I4sI4s4s4s", 128 + len(body), b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ "
    )
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + body


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_converted_by_their_profile(kind: str, mode: str) -> None:
    flat = Image.new("RGB", (8, 8), (200, 40, 40)).convert(mode)
    if mode == "RGBA":
        flat.putalpha(100)
    lossless = {"lossless": True} if kind == "WEBP" else {}
    found = read_picture(encoded(flat, kind, icc_profile=swapped_profile(), **lossless), "x")
    assert found.lost == ()
    assert np.abs(found.pixels.astype(int) - [40, 200, 40]).max() <= 12
    assert found.alpha is None if mode == "RGB" else (found.alpha == 100).all()


def test_a_profile_of_srgb_changes_nothing_to_speak_of() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = read_picture(encoded(Image.fromarray(PIXELS), icc_profile=profile), "x")
    assert np.abs(found.pixels.astype(int) - PIXELS).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_is_converted_by_a_profile_of_grey(mode: str) -> None:
    flat = Image.new("L", (4, 4), 55).convert(mode)
    found = read_picture(encoded(flat, icc_profile=grey_profile()), "x")
    assert found.lost == ()
    # linear 55 / 255 is 0.502 in sRGB
    assert np.abs(found.pixels.astype(int) - 128).max() <= 2


def test_grey_and_palettes_are_converted_by_a_profile_of_colours() -> None:
    flat = Image.new("RGB", (4, 4), (200, 40, 40))
    profile = swapped_profile()
    for mode in ("P", "L"):
        found = read_picture(encoded(flat.convert(mode), icc_profile=profile), "x")
        assert found.lost == ()
    assert read_picture(encoded(flat.quantize(2), icc_profile=profile), "x").pixels[
        0, 0, 1
    ] == pytest.approx(200, abs=12)


@pytest.mark.parametrize(
    ("profile", "mode"),
    [
        (ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(), "RGB"),
        (grey_profile(), "RGB"),
        (swapped_profile(), "CMYK"),
        (b"no profile", "RGB"),
        (swapped_profile()[:200], "L"),
    ],
)
def test_a_profile_that_cannot_be_used_is_named(profile: bytes, mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = Image.fromarray(PIXELS).convert(mode)
    found = read_picture(encoded(image, kind, icc_profile=profile), "x")
    assert any("its colour profile, which cannot be used" in each for each in found.lost)
    assert np.array_equal(found.pixels, np.asarray(image.convert("RGB")))


def test_a_gamma_that_is_not_srgbs_is_named() -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 100_000))
    found = read_picture(encoded(Image.fromarray(PIXELS), pnginfo=chunks), "x")
    assert found.lost == ("its gamma 1, which is not sRGB's and was not applied",)
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", struct.pack(">I", 45455))
    assert read_picture(encoded(Image.fromarray(PIXELS), pnginfo=chunks), "x").lost == ()


ALPHA = RANDOM.integers(0, 256, (5, 7), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_kept(kind: str) -> None:
    image = Image.fromarray(np.dstack([PIXELS, ALPHA]))
    lossless = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    found = read_picture(encoded(image, kind, **lossless), "x")
    assert np.array_equal(found.alpha, ALPHA)
    assert np.array_equal(found.pixels, PIXELS)


def test_every_way_to_be_transparent() -> None:
    grey = Image.fromarray(PIXELS[..., 0])
    with_alpha = grey.convert("LA")
    with_alpha.putalpha(Image.fromarray(ALPHA))
    found = read_picture(encoded(with_alpha), "x")
    assert np.array_equal(found.alpha, ALPHA)
    assert np.array_equal(found.pixels[..., 2], PIXELS[..., 0])
    palette = Image.fromarray(PIXELS).quantize(8)
    index = np.asarray(palette)
    for image, clear in (
        (palette, index == 3),
        (grey, PIXELS[..., 0] == 3),
        (grey.point(lambda level: level // 64), PIXELS[..., 0] // 64 == 3),
    ):
        found = read_picture(encoded(image, transparency=3), "x")
        expected = np.where(clear, 0, 255)
        assert np.array_equal(255 + 0 * expected if found.alpha is None else found.alpha, expected)
    one = tuple(int(level) for level in PIXELS[1, 1])
    found = read_picture(encoded(Image.fromarray(PIXELS), transparency=one), "x")
    assert found.alpha[1, 1] == 0
    assert (found.alpha == 0).sum() == 1
    opaque = Image.fromarray(PIXELS).convert("RGBA")
    assert read_picture(encoded(opaque), "x").alpha is None


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_become_eight_and_it_is_said(colour: int, channels: int) -> None:
    levels = RANDOM.integers(0, 65536, (5, 7, channels))
    found = read_picture(deep_png(levels, colour), "x")
    assert found.lost == ("8 of its 16 bits a channel",)
    colours = levels[..., :3] if channels > 2 else levels[..., :1]
    assert np.abs(found.pixels - colours / 257).max() <= 1
    if channels in (2, 4):
        assert np.abs(found.alpha - levels[..., -1] / 257).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_deep_grey_is_scaled_and_not_clipped(kind: str) -> None:
    levels = RANDOM.integers(0, 65536, (5, 7)).astype(np.uint16)
    found = read_picture(encoded(Image.fromarray(levels), kind), "x")
    assert np.abs(found.pixels[..., 1] - levels / 257).max() <= 0.5
    assert found.alpha is None


def test_deep_grey_of_tiff_whose_white_is_zero() -> None:
    levels = RANDOM.integers(0, 65536, (5, 7)).astype(np.uint16)
    content = bytearray(encoded(Image.fromarray(levels), "TIFF"))
    entry = struct.pack("<HHIHH", 262, 3, 1, 1, 0)  # PhotometricInterpretation, black is zero
    place = content.index(entry)
    content[place + 8] = 0
    found = read_picture(bytes(content), "x")
    assert np.abs(found.pixels[..., 1] - (65535 - levels) / 257.0).max() <= 0.5


def test_deep_grey_with_a_transparent_level() -> None:
    levels = np.array([[5, 6, 5]], np.uint16)
    found = read_picture(encoded(Image.fromarray(levels), transparency=5), "x")
    assert found.alpha.tolist() == [[0, 255, 0]]


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_known_range_are_refused(mode: str) -> None:
    with pytest.raises(DataError, match=f"a.tif has pixels of mode {mode}.*8 bits"):
        read_picture(encoded(Image.new(mode, (4, 4)), "TIFF"), "a.tif")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_and_pages_are_named_and_the_first_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    found = read_picture(content, "x")
    assert found.lost == ("all but the first of its frames or pages",)
    assert np.abs(found.pixels.astype(int) - [255, 0, 0]).max() <= 4


def test_a_damaged_later_frame_costs_the_first_one_nothing() -> None:
    frames = [Image.fromarray(RANDOM.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(2)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    found = read_picture(content[: len(content) - 2000], "x")
    assert "all but the first of its frames or pages" in found.lost


def test_metadata_is_kept_or_named() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[271] = 6, "maker"
    exif.get_ifd(0x8769)[36867] = "2020:01:01 00:00:00"
    image = Image.fromarray(PIXELS)
    content = encoded(image, "JPEG", exif=exif, xmp=b"<x/>", comment=b"hello", dpi=(300, 200))
    found = read_picture(content, "x")
    assert found.pixels.shape == (7, 5, 3)
    kept = Image.Exif()
    kept.load(found.exif)
    assert kept[271] == "maker"
    assert 0x0112 not in kept
    assert kept.get_ifd(0x8769)[36867] == "2020:01:01 00:00:00"
    assert found.dpi == (300, 200)
    assert found.dropped == ("XMP", "texts")
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Title", "a picture")
    assert read_picture(encoded(image, pnginfo=chunks), "x").dropped == ("texts",)
    assert read_picture(encoded(image, "TIFF", tiffinfo={270: "x"}), "x").dropped == ("TIFF tags",)
    assert read_picture(encoded(image), "x").dropped == ()


@pytest.mark.parametrize("damaged", [b"II*\0\xff\xff\xff\xff", b"hello", b"II*\0\b\0\0\0\1\0"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_data_is_named(damaged: bytes) -> None:
    content = encoded(Image.fromarray(PIXELS), "JPEG", exif=b"Exif\0\0" + damaged)
    assert read_picture(content, "x").dropped == ("damaged EXIF data",)


def test_the_thumbnail_which_shows_the_picture_as_it_was_is_not_kept() -> None:
    thumbnail = encoded(Image.new("RGB", (4, 4), "red"), "JPEG")
    first = (
        struct.pack("<H", 1) + struct.pack("<HHI4s", 271, 2, 4, b"me!\0") + struct.pack("<I", 26)
    )
    second = struct.pack("<H", 2)
    second += struct.pack("<HHII", 513, 4, 1, 56) + struct.pack("<HHII", 514, 4, 1, len(thumbnail))
    second += struct.pack("<I", 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + second + thumbnail
    found = read_picture(encoded(Image.fromarray(PIXELS), "JPEG", exif=exif), "x")
    assert b"me!" in found.exif
    assert thumbnail not in found.exif


@pytest.mark.parametrize("turn", range(2, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientations(turn: int, kind: str) -> None:
    corner = np.zeros((16, 32, 3), np.uint8)
    corner[:8, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = turn
    lossless = {"lossless": True} if kind == "WEBP" else {}
    found = read_picture(encoded(Image.fromarray(corner), kind, exif=exif, **lossless), "x")
    assert found.pixels.shape[:2] == ((16, 32) if turn < 5 else (32, 16))
    # where the white corner is shown: TIFF 6.0, tag Orientation
    bottom, right = {2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[
        turn
    ]
    shown = found.pixels[::-1] if bottom else found.pixels
    shown = shown[:, ::-1] if right else shown
    assert shown[2, 2].min() > 240
    assert shown[-3, -3].max() < 15


def test_a_larger_picture_than_asked_for_is_not_decoded() -> None:
    content = encoded(Image.fromarray(PIXELS))
    assert read_picture(content, "x", at_most=34) is None
    assert read_picture(content, "x", at_most=35) is not None


@pytest.mark.timeout(20)
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    fifo, folder, link, loop = (tmp_path / name for name in ("fifo", "folder", "link", "loop"))
    os.mkfifo(fifo)
    folder.mkdir()
    link.symlink_to("nothing")
    loop.symlink_to(loop)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    for path, reason in {
        fifo: "is a FIFO",
        folder: "is a folder",
        tmp_path / "socket": "is a socket",
        Path("/dev/null"): "is a device",
        link: "does not exist",
        loop: "cannot be read",
        tmp_path / ("a" * 300): "cannot be read",
        Path("a\0b"): "is not a readable picture",
    }.items():
        with pytest.raises(DataError, match=reason):
            read_picture(path, str(path))
    server.close()


def test_bombs_are_refused(monkeypatch) -> None:
    huge = bytearray(encoded(Image.new("1", (8, 8))))
    huge[16:24] = struct.pack(">II", 30_000, 30_000)
    huge[29:33] = struct.pack(">I", zlib.crc32(bytes(huge[12:29])))
    with pytest.raises(DataError, match=r"x is not a readable picture \(Image size \(900000000"):
        read_picture(bytes(huge), "x")
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("a", "b" * 2**24, zip=True)
    with pytest.raises(DataError, match="too large"):
        read_picture(encoded(Image.new("1", (8, 8)), pnginfo=chunks), "x")


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271] = "maker"
    path = tmp_path / "deep" / "a.png"
    pixels = np.dstack([PIXELS, ALPHA])
    texts = {"key": "a text"}
    write_png(path, pixels, modified_ns=5, texts=texts, exif=exif.tobytes(), dpi=(300, 300))
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), pixels)
        assert image.text == texts
        assert image.getexif()[271] == "maker"
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert path.stat().st_mtime_ns == 5
