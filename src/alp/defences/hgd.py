"""HGD: a denoiser in front of the classifier that is trained by what the classifier says."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp import seeding
from alp.config import MOST_CHANNELS, require_number
from alp.defences.base import DEFENCES, in_own_precision
from alp.defences.classifier import PlainBlock
from alp.defences.preprocessed import Preprocessed


class Denoiser(nn.Module):
    """A U-Net that predicts the perturbation: (B,3,H,W) -> the same shape. ``width`` channels at
    half the resolution, twice as many at a quarter. Heights and widths that are no multiples of 4
    are padded by replication and cropped back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, width, 3, 1, 1))
        self.fine = PlainBlock(width)
        self.halve = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.coarse = nn.Sequential(PlainBlock(2 * width), PlainBlock(2 * width))
        self.narrow = nn.Conv2d(2 * width, width, 1)
        self.mix = nn.Conv2d(2 * width, width, 1)
        self.last = PlainBlock(width)
        image = nn.Conv2d(width, 12, 3, 1, 1)
        nn.init.zeros_(image.weight)
        nn.init.zeros_(image.bias)  # type: ignore[arg-type]
        self.head = nn.Sequential(image, nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        bottom, right = -height % 4, -width % 4
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom), mode="replicate")
        x = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        fine = self.fine(self.stem(x))
        coarse = F.interpolate(self.narrow(self.coarse(self.halve(F.relu(fine)))), scale_factor=2.0)
        h = self.last(self.mix(torch.cat([coarse, fine], 1)))
        noise: Tensor = self.head(F.relu(h))
        return noise[..., :height, :width]


@final
@DEFENCES.register("hgd")
class HGD(Preprocessed):
    """The high-level representation guided denoiser of Liao et al. 2018 ("Defense against
    adversarial attacks using high-level representation guided denoiser", section 4), guided by the
    logits: the classifier sees the image without the perturbation that a U-Net predicts. What it
    sees is not clamped, so that the gradient is exact everywhere."""

    trained = True

    def __init__(self, classifier: nn.Module, width: int = 48) -> None:
        """``width``: channels of the denoiser at half the resolution.

        Raises:
            ConfigError: the width is no whole number above zero.
        """
        super().__init__(classifier)
        require_number("HGD's width", width, 1, MOST_CHANNELS, whole=True)
        self.width = width
        self.denoiser = Denoiser(width).eval()

    @property
    def stochastic(self) -> bool:
        return False

    @property
    def settings(self) -> dict[str, Any]:
        return {"width": self.width}

    def transform(self, x: Tensor, source: seeding.Source) -> Tensor:
        return self.denoised(x)

    def denoised(self, x: Tensor) -> Tensor:
        """Images (B,3,H,W) without their predicted perturbation, not clamped."""
        noise: Tensor = in_own_precision(self.denoiser, self.denoiser, x)
        return x - noise
