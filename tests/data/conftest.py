from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Paint = Callable[..., bytes]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ALP_CACHE", str(folder))
    return folder


@pytest.fixture
def paint() -> Paint:
    """A function that gives the bytes of a random picture."""

    def painted(
        number: int = 0, size: tuple[int, int] = (32, 32), mode: str = "RGB", kind: str = "PNG"
    ) -> bytes:
        noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 4), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise, "RGBA").convert(mode).save(buffer, kind)
        return buffer.getvalue()

    return painted
