"""Where the Square attack starts and what it proposes, in Linf and in L2.

Andriushchenko et al. 2020. Every image has its own draws; windows and signs are drawn in one call
of the source a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alp.attacks.base import Source
from alp.seeding import uniform

if TYPE_CHECKING:
    from torch import Tensor

_HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries


def share(p: float, query: int, queries: int) -> float:
    """The share of the pixels in the square of a query (counted from 0): ``p``, halved at the
    points of the authors' program, rescaled to ``queries``. Section 5, schedule of p."""
    scaled = query * 10_000 // queries
    return float(p / 2 ** sum(scaled > mark for mark in _HALVED_AFTER))


def stripes(x: Tensor, source: Source) -> Tensor:
    """The start in Linf, like ``x``: a random sign for every column of every channel. Section
    3.2, initialisation."""
    batch, channels, _, width = x.shape
    return _signs(uniform((batch, channels, 1, width), source)).to(x).expand_as(x)


def paint(point: Tensor, x: Tensor, eps: float, side: int, source: Source) -> Tensor:
    """A square of ``side`` pixels moved by plus or minus 2 eps, a sign for each channel, which
    the projection makes plus or minus eps. Algorithm 2."""
    batch, channels, *shape = x.shape
    drawn = uniform((batch, 2 + channels), source).to(x.device)
    _, _, inside = _window(drawn[:, :2], side, shape)
    return point + 2 * eps * _signs(drawn[:, 2:]).to(x)[:, :, None, None] * inside


def tiles(x: Tensor, source: Source) -> Tensor:
    """The start in L2, like ``x`` up to its length: ``bump`` tiles of a fifth of the image with
    a random sign for each channel. Section 3.3, initialisation; simplified in that all tiles lie
    the same way round and those at the edge are cut where 5 do not fill the image."""
    batch, channels, height, width = x.shape
    side = max(min(height, width) // 5, 1)
    rows, columns = -(-height // side), -(-width // side)
    signs = _signs(uniform((batch, channels, rows, columns), source)).to(x)
    signs = signs.repeat_interleave(side, 2).repeat_interleave(side, 3)
    return (signs * bump(side).to(x).repeat(rows, columns))[:, :, :height, :width]


def swap(point: Tensor, x: Tensor, eps: float, side: int, source: Source) -> Tensor:
    """The change of one window moved into another, where a ``bump`` of random sign and direction
    is added to it, with all of the radius that is unused. Algorithm 3; the windows are at least 3
    pixels wide."""
    import torch

    batch, channels, *shape = x.shape
    side = min(max(side, 3), *shape)
    drawn = uniform((batch, 5 + channels), source).to(x.device)
    rows, columns, first = _window(drawn[:, 0:2], side, shape)
    _, _, second = _window(drawn[:, 2:4], side, shape)
    upright = bump(side).to(x)
    shaped = upright.where(drawn[:, 4, None, None] < 0.5, upright.T)
    image = torch.arange(batch, device=x.device)[:, None, None]
    placed = shaped[image, rows[:, :, None], columns[:, None]].unsqueeze(1) * first
    change = point - x
    new = _signs(drawn[:, 5:]).to(x)[:, :, None, None] * placed + _unit(change * first)
    unused = (eps**2 - change.square().sum((1, 2, 3), keepdim=True)).clamp_min(0)
    both = first | second
    radius = (_length(change * both).square() + unused / channels).sqrt()
    return x + change.masked_fill(both, 0) + radius * _unit(new)


def bump(side: int) -> Tensor:
    """A pattern (side,side) of length 1: two centred pyramids of opposite sign, one above the
    other. Section 3.3, the equation of eta."""
    import torch

    def pyramid(rows: int, columns: int) -> Tensor:
        reach = max(rows, columns) // 2
        heights = torch.arange(1.0, reach + 2).square().reciprocal()
        heights = heights.flip(0).cumsum(0).flip(0)
        down = (torch.arange(rows) - rows // 2).abs()
        across = (torch.arange(columns) - columns // 2).abs()
        return heights[torch.maximum(down[:, None], across[None])]

    half = side // 2
    both = torch.cat([pyramid(half, side), -pyramid(side - half, side)])
    return both / both.square().sum().sqrt()


def _window(drawn: Tensor, side: int, shape: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """A square of ``side`` pixels for each image, its place uniform by ``drawn`` (B,2) in [0,1):
    the row (B,H) and the column (B,W) of every pixel in it, held to its edges, and which pixels
    lie inside, (B,1,H,W)."""
    import torch

    held, inside = [], []
    for axis, length in enumerate(shape):
        corner = (drawn[:, axis, None] * (length - side + 1)).long()
        offset = torch.arange(length, device=drawn.device) - corner
        held.append(offset.clamp(0, side - 1))
        inside.append(offset == held[-1])
    return held[0], held[1], (inside[0][:, :, None] & inside[1][:, None]).unsqueeze(1)


def _signs(drawn: Tensor) -> Tensor:
    """Uniform draws in [0,1) as fair signs."""
    return 1 - 2 * (drawn < 0.5).float()


def _length(change: Tensor) -> Tensor:
    """The Euclidean length of every channel, (B,C,1,1)."""
    return change.square().sum((2, 3), keepdim=True).sqrt()


def _unit(change: Tensor) -> Tensor:
    """Every channel at length 1; one that is zero stays zero."""
    import torch

    return change / _length(change).clamp_min(torch.finfo(change.dtype).tiny)
