"""Transformations of the image in front of the classifier: JPEG compression, fewer grey levels and
the median."""

from __future__ import annotations

import io
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.config import require_number
from alp.defences.base import DEFENCES, straight_through
from alp.defences.preprocessed import Preprocessed


@final
@DEFENCES.register("jpeg")
class JPEG(Preprocessed):
    """Compress and decompress each image (Dziugaite et al. 2016, at quality 75), by Pillow.

    Compression has no derivative. Attackers get the identity's in its place.
    """

    surrogate = "the derivative of the identity in place of JPEG's"

    def __init__(self, classifier: nn.Module, quality: int = 75) -> None:
        """``quality``: of the compression, 1 to 95.

        Raises:
            ConfigError: the quality is out of range.
        """
        super().__init__(classifier)
        require_number("JPEG's quality", quality, 1, 95, whole=True)
        self.quality = quality

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def settings(self) -> dict[str, Any]:
        return {"quality": self.quality}

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        pixels = x.detach().mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        images = np.stack([_compressed(image, self.quality) for image in pixels])
        back = torch.from_numpy(images).to(x.device).permute(0, 3, 1, 2).to(x.dtype) / 255
        return straight_through(back, x)


def _compressed(pixels: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image)


@final
@DEFENCES.register("bit-depth")
class BitDepth(Preprocessed):
    """Round every pixel to a few grey levels (Xu et al. 2018, "Feature squeezing": 5 bits on
    CIFAR-10).

    Rounding has no derivative. Attackers get the identity's in its place.
    """

    surrogate = "the derivative of the identity in place of rounding's"

    def __init__(self, classifier: nn.Module, bits: int = 5) -> None:
        """``bits``: of each colour channel, 1 to 8.

        Raises:
            ConfigError: the bits are out of range.
        """
        super().__init__(classifier)
        require_number("the bit depth's bits", bits, 1, 8, whole=True)
        self.bits = bits

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def settings(self) -> dict[str, Any]:
        return {"bits": self.bits}

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        levels = 2**self.bits - 1
        return straight_through((levels * x).round() / levels, x)


@final
@DEFENCES.register("median")
class MedianSmoothing(Preprocessed):
    """Every pixel becomes the median of a window in its channel (Xu et al. 2018, "Feature
    squeezing": 2x2 on CIFAR-10), with reflection at the border."""

    def __init__(self, classifier: nn.Module, window: int = 2) -> None:
        """``window``: side of the window, in pixels.

        Raises:
            ConfigError: the window is no whole number above zero.
        """
        super().__init__(classifier)
        require_number("the median's window", window, 1, whole=True)
        self.window = window

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def settings(self) -> dict[str, Any]:
        return {"window": self.window}

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        return median_filter(x, self.window)


def median_filter(x: Tensor, window: int) -> Tensor:
    """The upper median of each ``window`` x ``window`` neighbourhood, (B,C,H,W) -> the same shape;
    of an even window the pixel is its lower right centre, as in ``scipy.ndimage.median_filter``."""
    before, after = window // 2, (window - 1) // 2
    padded = F.pad(x, (before, after, before, after), mode="reflect")
    windows = padded.unfold(2, window, 1).unfold(3, window, 1).flatten(4)
    return windows.sort(-1).values[..., window**2 // 2]
