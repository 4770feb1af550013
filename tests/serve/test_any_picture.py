"""Any file at all becomes a faithful copy or is refused with its reason; nothing else happens.

ALP_CASES=10000 pytest tests/serve/test_any_picture.py
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from alp.data.picture import SUFFIXES, read_picture
from alp.serve.copies import read_stamp, stamp_of
from alp.serve.jobs import find_jobs
from alp.serve.purifying import PicturePurifier

pytestmark = pytest.mark.slow

CASES = int(os.environ.get("ALP_CASES", "300"))

MODES = {
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "JPEG": ["L", "RGB", "CMYK"],
    "WEBP": ["RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
    "GIF": ["1", "L", "P", "RGB", "RGBA"],
    "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "I", "LAB", "YCbCr"],
    "PPM": ["L", "RGB"],
}
PROFILES = [ImageCms.ImageCmsProfile(ImageCms.createProfile(each)).tobytes() for each in
            ("sRGB", "LAB", "XYZ")]  # fmt: skip
SIZES = st.one_of(st.integers(1, 20), st.sampled_from([31, 32, 33, 257]))
NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: not name.startswith("."))


@st.composite
def orientations(draw: st.DrawFn) -> dict[str, object]:
    """EXIF data, right or wrong."""
    if draw(st.booleans()):
        return {"exif": b"Exif\0\0" + draw(st.binary(max_size=40))}
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(0, 9))
    exif[271] = draw(st.text(max_size=5))
    return {"exif": exif.tobytes()}


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """A file's content: a picture of any format, mode and size, with metadata, whole or damaged."""
    kind = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[kind]))
    size = draw(st.tuples(SIZES, SIZES))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    levels = random.integers(0, 256, (size[1], size[0], 4), np.uint8)
    if draw(st.booleans()):
        levels[..., 3] = 255 * (levels[..., 3] > 100)
    if mode in ("I;16", "I", "F"):
        image = Image.fromarray(levels[..., 0].astype({"I;16": "u2", "I": "i4", "F": "f4"}[mode]))
    elif mode == "LAB":
        image = Image.frombytes("LAB", size, levels[..., :3].tobytes())
    else:
        image = Image.fromarray(levels).convert("RGB" if mode in ("CMYK", "YCbCr") else "RGBA")
        image = image.convert(mode)
    options: dict[str, object] = {}
    if kind in ("PNG", "JPEG", "WEBP", "TIFF") and draw(st.booleans()):
        profile = draw(st.sampled_from(PROFILES) | st.binary(max_size=200))
        options |= {"icc_profile": profile} if profile else {}
    if kind in ("PNG", "JPEG", "WEBP") and draw(st.booleans()):
        options |= draw(orientations())
    if kind in ("GIF", "PNG", "WEBP", "TIFF") and draw(st.integers(0, 3)) == 0:
        options |= {"save_all": True, "append_images": [image.copy()] * draw(st.integers(1, 2))}
    if kind in ("PNG", "GIF") and mode in ("L", "P") and draw(st.booleans()):
        options["transparency"] = draw(st.integers(0, 255))
    if kind == "TIFF" and mode in ("L", "RGB", "P"):
        options["compression"] = draw(st.sampled_from([None, "tiff_lzw", "tiff_deflate", "jpeg"]))
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **options)
    except (OSError, ValueError, RuntimeError):  # what Pillow does not write, no matter here
        return buffer.getvalue()
    content = bytearray(buffer.getvalue())
    damage = draw(st.sampled_from(["none", "none", "cut", "flip"]))
    if damage == "cut":
        return bytes(content[: draw(st.integers(0, len(content)))])
    for _ in range(draw(st.integers(1, 5)) if damage == "flip" else 0):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


@settings(
    max_examples=CASES,
    deadline=None,
    # The fixture is a function, which does not change.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    content=pictures() | st.binary(max_size=200),
    name=NAMES,
    suffix=st.sampled_from(SUFFIXES),
    seed=st.none() | st.integers(0, 3),
)
def test_any_file_is_copied_or_refused(new_purifier, content, name, suffix, seed) -> None:
    purify = PicturePurifier(new_purifier(), seed, threads=1)
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place, "in"), Path(place, "out")
        folder.mkdir()
        path = folder / f"{name}{suffix}"
        path.write_bytes(content)
        (outcome,) = purify(find_jobs([folder], out))
        assert path.read_bytes() == content
        if outcome.refused:
            assert str(path) in outcome.refused
            assert not out.exists() or not list(out.iterdir())
            return
        assert list(out.iterdir()) == [outcome.job.target]
        found = read_picture(path, "x")
        assert outcome.lost == found.lost
        with Image.open(outcome.job.target) as copy:
            assert copy.format == "PNG"
            assert copy.size == found.pixels.shape[1::-1]
            if found.alpha is None:
                assert copy.mode == "RGB"
            else:
                pixels = np.asarray(copy)
                assert np.array_equal(pixels[..., 3], found.alpha)
                assert not pixels[found.alpha == 0].any()
        assert read_stamp(outcome.job.target) == stamp_of(path, purify.recipe)[0]
        json.dumps([outcome.psnr, outcome.lost, outcome.dropped])
