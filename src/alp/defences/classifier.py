"""ResNetLite: a residual classifier in the sizes that the project uses.

Residual blocks shared by the encoder and the classifier.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp.config import ClassifierConfig, from_dict, to_dict
from alp.defences.base import DEFENCES, in_own_precision
from alp.defences.pretrained import Pretrained
from alp.defences.trainable import Trainable, replace_head
from alp.errors import ConfigError


class PreActBlock(nn.Module):
    """Pre-activation residual block with batch normalisation (He et al. 2016b, figure 1b).

    (B, inputs, H, W) -> (B, outputs, H / stride, W / stride).
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(x))
        skip = x if self.shortcut is None else self.shortcut(h)
        out: Tensor = skip + self.conv2(F.relu(self.norm2(self.conv1(h))))
        return out


class PlainBlock(nn.Module):
    """Residual block without normalisation; the last convolution starts at zero, so that a deep
    stack starts as the identity (Zhang et al. 2019, Fixup). (B, C, H, W) -> the same shape.

    A purifier has no batch statistics: its output for an image depends on that image alone.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv2(F.relu(self.conv1(F.relu(x))))
        return out


SIZES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "tiny": (2, (32, 64), (1, 1)),
    "lite": (2, (48, 96, 192), (2, 2, 2)),
    "base": (1, (64, 128, 256, 512), (2, 2, 2, 2)),
}
"""Stride of the first convolution, channels of each stage, blocks of each stage. A stride of 2
quarters the cost of everything behind it; ``base`` is the ResNet-18 of the CIFAR literature."""

MEAN, STD = 0.47, 0.25
"""Mean and standard deviation of CIFAR-10's pixels, all channels together."""


@final
@DEFENCES.register("classifier")
class ResNetLite(Pretrained, Trainable):
    """Pre-activation ResNet (He et al. 2016b): x (B, 3, H, W) in [0,1] -> logits (B, classes).

    Normalisation is inside, so that every attack works in pixel space. Any size of image works.
    """

    def __init__(self, config: ClassifierConfig | None = None) -> None:
        """``config``: the size and the classes.

        Raises:
            ConfigError: its architecture is another one.
        """
        super().__init__()
        self.config = config or ClassifierConfig()
        if self.config.architecture != "residual":
            raise ConfigError(
                f"the architecture of a ResNetLite is {self.config.architecture!r}; give "
                "'residual', or build an alp.defences.architectures.Network"
            )
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

    def answer(self, x: Tensor) -> Tensor:
        logits: Tensor = in_own_precision(self, lambda each: self.head(self.features(each)), x)
        return logits

    def with_new_head(self, classes: int) -> None:
        replace_head(self, classes)
        self.config, self._classes = replace(self.config, classes=classes), None

    def describe(self) -> dict[str, Any]:
        return {"kind": "classifier", "config": to_dict(self.config)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(from_dict(ClassifierConfig, description["config"]))
