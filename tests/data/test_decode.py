from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from alp.data.decode import decode_all, decode_one
from alp.errors import DataError


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_lossless_pictures_come_back_exactly(kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, kind)
    assert np.array_equal(decode_one(buffer.getvalue(), "x"), PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_pictures_can_be_read(kind: str) -> None:
    flat = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(flat).save(buffer, kind)
    assert np.abs(decode_one(buffer.getvalue(), "x").astype(int) - flat).max() < 8


def test_grey_becomes_three_channels_and_what_is_transparent_white() -> None:
    grey = decode_one(png(PIXELS[..., 0]), "x")
    assert np.array_equal(grey, np.repeat(PIXELS[..., :1], 3, axis=2))
    opacity = np.full((5, 7), 255, np.uint8)
    opacity[0, 0], opacity[0, 1] = 0, 51
    found = decode_one(png(np.dstack([PIXELS, opacity])), "x")
    assert np.array_equal(found[0, 0], [255, 255, 255])
    assert np.abs(found[0, 1] - (204 + 0.2 * PIXELS[0, 1])).max() <= 0.5
    assert np.array_equal(found[1:], PIXELS[1:])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_turned_as_its_exif_says(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees to the right
    flat = np.zeros((8, 16, 3), np.uint8)
    flat[:, :8] = 255
    buffer = io.BytesIO()
    Image.fromarray(flat).save(buffer, kind, exif=exif)
    found = decode_one(buffer.getvalue(), "x").astype(int)
    assert np.abs(found - np.rot90(flat, -1)).max() < 8


@pytest.mark.parametrize(
    "damaged", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0hello"]
)
def test_a_picture_with_damaged_exif_is_still_one(damaged: bytes) -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", exif=damaged)
    assert decode_one(buffer.getvalue(), "x").shape == PIXELS.shape


def test_sixteen_bit_pictures_are_refused_rather_than_clipped() -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    with pytest.raises(DataError, match=r"deep.png would lose 8 of its 16 bits a channel.*8 bits"):
        decode_one(png(deep), "deep.png")


def test_other_formats_are_refused(paint: Callable[..., bytes]) -> None:
    with pytest.raises(DataError, match=r"a.ppm is not a readable picture.*PNG, JPEG, WEBP, BMP"):
        decode_one(paint(kind="PPM"), "a.ppm")


def test_an_animation_is_refused() -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(PIXELS), Image.fromarray(PIXELS[::-1].copy())]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"a.gif would lose all but the first of its frames"):
        decode_one(buffer.getvalue(), "a.gif")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png does not exist"):
        decode_one(tmp_path / "gone.png", str(tmp_path / "gone.png"))


@given(st.binary(max_size=300))
def test_bytes_that_are_no_picture_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="row 3 is not a readable picture"):
        decode_one(content, "row 3")


@given(st.data())
def test_a_truncated_picture_is_refused(data: st.DataObject) -> None:
    whole = png(PIXELS)
    # the last 20 bytes are checksums and the closing chunk: a cut there loses no pixel
    cut = data.draw(st.integers(0, len(whole) - 21))
    with pytest.raises(DataError, match="row 3 is not a readable picture"):
        decode_one(whole[:cut], "row 3")


@given(st.data())
def test_a_damaged_picture_never_raises_anything_else(data: st.DataObject) -> None:
    content = bytearray(png(PIXELS))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DataError):  # hypothesis reports everything else
        out = decode_one(bytes(content), "row 3")
        assert out.dtype == np.uint8
        assert out.shape[2:] == (3,)


def test_many_pictures_keep_their_order() -> None:
    flat = [np.full((2, 3, 3), k % 256, np.uint8) for k in range(1100)]
    out = decode_all([png(pixels) for pixels in flat], [str(k) for k in range(1100)])
    assert np.array_equal(out, np.stack(flat))


def test_another_size_is_named_with_both_sizes() -> None:
    pictures = [png(np.zeros((4, 6, 3), np.uint8)), png(np.zeros((6, 4, 3), np.uint8))]
    with pytest.raises(DataError, match=r"^second is 4x6 pixels, expected 6x4 as.*: resize"):
        decode_all(pictures, ["first", "second"])
    with pytest.raises(DataError, match=r"^first is 6x4 pixels, expected 32x32"):
        decode_all(pictures, ["first", "second"], size=(32, 32))
