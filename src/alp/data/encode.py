"""uint8 arrays to picture files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from alp.files import write_atomically


def write_png(path: Path, pixels: npt.NDArray[np.uint8], modified_ns: int | None = None) -> None:
    """Write RGB pixels (H,W,3) as PNG, atomically; ``modified_ns`` is the file's time of
    modification, in nanoseconds since 1970, by default now."""

    def write(temporary: Path) -> None:
        Image.fromarray(pixels).save(temporary, "PNG")
        if modified_ns is not None:
            os.utime(temporary, ns=(modified_ns, modified_ns))

    write_atomically(path, write)
