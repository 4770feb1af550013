"""Tensors to picture files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TILE = 96
"""Least side of a picture in a grid: smaller ones are enlarged by whole factors."""


def write_png(path: Path, image: Tensor) -> None:
    """Write an image (3,H,W) in [0,1] as PNG, atomically."""
    from alp.data import encode

    encode.write_png(path, image.mul(255).round().byte().permute(1, 2, 0).contiguous().numpy())


def grid(rows: Sequence[Tensor]) -> Tensor:
    """Rows of images (N,3,H,W) in [0,1] as one picture (3, height, width), a pixel apart."""
    import torch
    from torch.nn import functional as F

    factor = max(1, -(-TILE // rows[0].shape[-1]))
    lines = []
    for row in rows:
        large = F.pad(
            row.repeat_interleave(factor, 2).repeat_interleave(factor, 3), (1,) * 4, value=1
        )
        lines.append(torch.cat(list(large), 2))
    return torch.cat(lines, 1)
