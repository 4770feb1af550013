"""Pictures of any size as images of one: resized, then cropped in the middle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from alp.config import FrameConfig

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
