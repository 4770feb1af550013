"""ResNetLite: a residual classifier in the sizes that the project uses."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp.config import ClassifierConfig
from alp.models.blocks import PreActBlock
from alp.models.pretrained import Pretrained

SIZES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "tiny": (2, (32, 64), (1, 1)),
    "lite": (2, (48, 96, 192), (2, 2, 2)),
    "base": (1, (64, 128, 256, 512), (2, 2, 2, 2)),
}
"""Stride of the first convolution, channels of each stage, blocks of each stage. A stride of 2
quarters the cost of everything behind it; ``base`` is the ResNet-18 of the CIFAR literature."""

MEAN, STD = 0.47, 0.25
"""Mean and standard deviation of CIFAR-10's pixels, all channels together."""


class ResNetLite(Pretrained, nn.Module):
    """Pre-activation ResNet (He et al. 2016b): x (B, 3, H, W) in [0,1] -> logits (B, classes).

    Normalisation is inside, so that every attack works in pixel space. Any size of image works.
    """

    def __init__(self, config: ClassifierConfig | None = None) -> None:
        super().__init__()
        self.config = config or ClassifierConfig()
        stride, widths, depths = SIZES[self.config.size]
        channels = widths[0]
        self.stem = nn.Conv2d(3, channels, 3, stride, 1, bias=False)
        blocks = []
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                down = 2 if stage > 0 and block == 0 else 1
                blocks.append(PreActBlock(channels, width, down))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, self.config.classes)

    def features(self, x: Tensor) -> Tensor:
        """Penultimate features: x (B, 3, H, W) -> (B, channels of the last stage)."""
        h = self.stem(((x - MEAN) / STD).contiguous(memory_format=torch.channels_last))
        return F.relu(self.norm(self.blocks(h))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits
