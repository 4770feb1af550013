"""Augmentation on tensors: flip, shift and cutout, drawn independently for each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alp import seeding
from alp.errors import ConfigError

if TYPE_CHECKING:
    import torch

CUTOUT_FILL = 0.5
"""Mid-grey: the models centre their input there, so that a hole carries no signal."""


@dataclass(frozen=True)
class Augment:
    """The random changes made to every training image; all of them off is the identity."""

    flip: bool = True
    """Mirror each image left to right with probability 1/2."""
    shift: int = 4
    """Move each image by up to this many pixels in each direction; the border is reflected."""
    cutout: int = 8
    """Grey out a square of this side in each image; 0 leaves the images whole."""

    def __post_init__(self) -> None:
        for name in ("shift", "cutout"):
            value = getattr(self, name)
            if value < 0:
                raise ConfigError(f"augmentation {name} is {value}; give 0 (off) or more pixels")

    def __call__(self, x: torch.Tensor, source: torch.Generator | seeding.Shard) -> torch.Tensor:
        """Augment ``x`` (B,3,H,W) in [0,1]; a new tensor of the same shape, on the same device.

        The draws of an image depend on its row and ``source`` only, not on the settings: turning
        one change off leaves the others as they were.

        Raises:
            ConfigError: the images are too small for ``shift`` pixels.
        """
        import torch

        height, width = x.shape[-2:]
        if self.shift >= min(height, width):
            raise ConfigError(
                f"augmentation shift {self.shift} does not fit images of {height}x{width}; "
                f"give at most {min(height, width) - 1}, or larger images (--size)"
            )
        draws = seeding.uniform((x.shape[0], 5), source).to(x.device)
        rows = _moved(draws[:, 0], height, self.shift)
        columns = _moved(draws[:, 1], width, self.shift)
        if self.flip:
            columns = torch.where(draws[:, 2, None] < 0.5, columns.flip(1), columns)
        image = torch.arange(x.shape[0], device=x.device)
        # Indexing the NHWC view gives NHWC memory: the channels_last layout, at no extra copy.
        out = x.permute(0, 2, 3, 1)[image[:, None, None], rows[:, :, None], columns[:, None, :]]
        if self.cutout:
            hole = (
                _span(draws[:, 3], height, self.cutout)[:, :, None]
                & _span(draws[:, 4], width, self.cutout)[:, None, :]
            )
            out = out.masked_fill(hole[..., None], CUTOUT_FILL)
        return out.permute(0, 3, 1, 2)


def _integers(draw: torch.Tensor, count: int) -> torch.Tensor:
    """Uniform draws in [0, 1) to uniform integers 0 ... count-1."""
    # float32 may round draw * count up to count itself
    return (draw * count).long().clamp(max=count - 1)


def _moved(draw: torch.Tensor, size: int, shift: int) -> torch.Tensor:
    """(B,) draws to (B, size) source positions: a shift of -shift ... shift, reflected."""
    import torch

    offset = _integers(draw, 2 * shift + 1) - shift
    position = (torch.arange(size, device=draw.device) + offset[:, None]).abs()
    return (size - 1) - (size - 1 - position).abs()


def _span(draw: torch.Tensor, size: int, side: int) -> torch.Tensor:
    """(B,) draws to (B, size): which positions the hole covers.

    The centre is uniform over the image and the hole may hang over the border, which DeVries and
    Taylor (2017, "Improved Regularization of Convolutional Neural Networks with Cutout", section
    3.2) found to matter.
    """
    import torch

    start = _integers(draw, size) - side // 2
    position = torch.arange(size, device=draw.device) - start[:, None]
    return (position >= 0) & (position < side)
