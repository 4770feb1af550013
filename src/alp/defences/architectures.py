"""Classifiers of other kinds than residual ones, of about the multiply-adds of ``ResNetLite``.

``plain``: convolutions one after the other, as deep and as wide, without skips (Simonyan and
Zisserman 2015, with batch normalisation). ``depthwise``: inverted residual blocks (Sandler et al.
2018). ``attention``: a small vision transformer (Dosovitskiy et al. 2021) on patches of 4 x 4
pixels, with fixed positions, so that any size of image works.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from alp.config import ClassifierConfig, from_dict, to_dict
from alp.defences.base import DEFENCES, in_own_precision
from alp.defences.classifier import MEAN, SIZES, STD, ResNetLite
from alp.defences.pretrained import Pretrained
from alp.defences.trainable import Trainable, replace_head
from alp.errors import choose

EXPANSION = 4
"""Channels inside a depthwise block, and width of a transformer's feed-forward layer, over those
outside."""

HEAD = 24
"""Channels of a head of attention."""

PATCH = 4
"""Pixels of a patch along each axis."""

TOKENS = {"tiny": (48, 4), "lite": (96, 7), "base": (384, 5)}
"""Channels and layers of the transformers."""


def convolution(inputs: int, outputs: int, size: int, stride: int, groups: int = 1) -> nn.Module:
    """Convolution and batch normalisation, (B,inputs,H,W) -> (B,outputs,H/stride,W/stride)."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


class DepthwiseBlock(nn.Module):
    """Inverted residual block (Sandler et al. 2018, figure 4d): (B,inputs,H,W) ->
    (B,outputs,H/stride,W/stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = EXPANSION * inputs
        self.widen = convolution(inputs, wide, 1, 1)
        self.depthwise = convolution(wide, wide, 3, stride, groups=wide)
        self.narrow = convolution(wide, outputs, 1, 1)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.narrow(F.relu(self.depthwise(F.relu(self.widen(x)))))
        return x + h if self.skips else h


class Layer(nn.Module):
    """Pre-norm layer of a transformer (Dosovitskiy et al. 2021, equations 2 and 3): (B,N,C) of
    tokens -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.widen = nn.Linear(width, EXPANSION * width)
        self.narrow = nn.Linear(EXPANSION * width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.attend(self.norm1(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        x = x + self.project(mixed)
        out: Tensor = x + self.narrow(F.gelu(self.widen(self.norm2(x))))
        return out


class Transformer(nn.Module):
    """Images (B,3,H,W) -> features (B,C): patches, layers, and the mean of the tokens."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, PATCH, PATCH)
        self.layers = nn.Sequential(*(Layer(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % PATCH, 0, -height % PATCH), mode="replicate")
        grid = self.patches(x)
        tokens = (grid + positions(grid)).flatten(2).transpose(1, 2)
        out: Tensor = self.norm(self.layers(tokens)).mean(1)
        return out


def positions(grid: Tensor) -> Tensor:
    """Sines and cosines of row and column of a grid (B,C,H,W) -> (C,H,W); C is a multiple of 4
    (Vaswani et al. 2017, section 3.5, half of the channels for each axis)."""
    channels, height, width = grid.shape[1:]
    quarter = channels // 4
    rates = torch.exp(-math.log(100.0) * torch.arange(quarter, device=grid.device) / quarter)
    rows, columns = (
        torch.arange(length, device=grid.device)[:, None] * rates for length in (height, width)
    )
    down = torch.cat([rows.sin(), rows.cos()], 1).T[:, :, None].expand(-1, -1, width)
    across = torch.cat([columns.sin(), columns.cos()], 1).T[:, None].expand(-1, height, -1)
    return torch.cat([down, across]).to(grid.dtype)


class Pooled(nn.Module):
    """Convolutions, and the mean over the places: (B,3,H,W) -> (B,C)."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last)).mean((2, 3))
        return out


def plain(size: str) -> tuple[nn.Module, int]:
    """The features of a plain network, and how many they are."""
    stride, widths, depths = SIZES[size]
    channels = widths[0]
    layers = [convolution(3, channels, 3, stride), nn.ReLU()]
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for number in range(2 * depth):
            down = 2 if stage > 0 and number == 0 else 1
            layers += [convolution(channels, width, 3, down), nn.ReLU()]
            channels = width
    return Pooled(*layers), channels


def depthwise(size: str) -> tuple[nn.Module, int]:
    """The features of a network of depthwise blocks, twice as many as residual ones."""
    stride, widths, depths = SIZES[size]
    channels = widths[0]
    layers = [convolution(3, channels, 3, stride), nn.ReLU()]
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for number in range(2 * depth):
            down = 2 if stage > 0 and number == 0 else 1
            layers.append(DepthwiseBlock(channels, width, down))
            channels = width
    return Pooled(*layers, nn.ReLU()), channels


def attention(size: str) -> tuple[nn.Module, int]:
    """The features of a vision transformer."""
    width, depth = TOKENS[size]
    return Transformer(width, depth), width


BODIES: dict[str, Callable[[str], tuple[nn.Module, int]]] = {
    "plain": plain,
    "depthwise": depthwise,
    "attention": attention,
}
"""Architecture to what makes its features from a size."""


@final
@DEFENCES.register("network")
class Network(Pretrained, Trainable):
    """A classifier whose architecture is one of ``BODIES``: x (B,3,H,W) in [0,1] -> logits
    (B,classes). Normalisation is inside, and any size of image works."""

    def __init__(self, config: ClassifierConfig) -> None:
        """``config.architecture``: any but ``residual``, which is :class:`ResNetLite`.

        Raises:
            UnknownNameError: it is residual.
        """
        super().__init__()
        self.config = config
        make = choose(BODIES, config.architecture, "architecture of a Network")
        self.body, features = make(config.size)
        self.head = nn.Linear(features, config.classes)

    def features(self, x: Tensor) -> Tensor:
        """Penultimate features: x (B,3,H,W) -> (B,C)."""
        found: Tensor = self.body((x - MEAN) / STD)
        return found

    def answer(self, x: Tensor) -> Tensor:
        logits: Tensor = in_own_precision(self, lambda each: self.head(self.features(each)), x)
        return logits

    def with_new_head(self, classes: int) -> None:
        replace_head(self, classes)
        self.config, self._classes = replace(self.config, classes=classes), None

    def describe(self) -> dict[str, Any]:
        return {"kind": "network", "config": to_dict(self.config)}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        return cls(from_dict(ClassifierConfig, description["config"]))


def classifier_by(config: ClassifierConfig) -> ResNetLite | Network:
    """The untrained classifier of a configuration."""
    return ResNetLite(config) if config.architecture == "residual" else Network(config)
