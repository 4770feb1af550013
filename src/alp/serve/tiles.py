"""Large pictures, purified in tiles: what the whole picture would become, in little memory.

A tile is encoded with a margin of the encoder's receptive field, and decoded with one of the
decoder's. Its noise is its part of the noise of the whole latent. So tiles meet without a seam, and
a pixel differs from that of the picture purified whole by the rounding of floats only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from alp import seeding
from alp.data.picture import Bytes
from alp.defences import Purifier

TILE = 224
"""Latent cells along the longest side of a tile without its margins: with them about a megapixel,
which takes 0.3 GB."""

DECODER_REACH = 2
"""Latent cells on each side that a pixel depends on: a 3x3 convolution at the latent's
resolution, two at twice it."""

GROUP = 16
"""torch draws normal numbers on a CPU in groups of so many; the last group ends with the tensor."""


def encoder_reach(purifier: Purifier) -> int:
    """Latent cells on each side of one that its value depends on.

    At the latent's resolution the head and two 3x3 convolutions a block reach a cell each, at twice
    it the stem, two a block, and the one with stride 2 half a cell each.
    """
    return 1 + 2 * purifier.config.blocks + math.ceil((2 + 2 * purifier.config.blocks) / 2)


def purify_tiled(purifier: Purifier, pixels: Bytes, source: torch.Generator) -> tuple[Bytes, float]:
    """Purify a picture, uint8 (H,W,3), tile by tile.

    Args:
        source: a generator on the CPU; the noise is what ``purifier`` would draw from it for the
            whole picture.

    Returns:
        The purified picture, and its PSNR in dB.
    """
    height, width = pixels.shape[:2]
    stride = purifier.config.stride
    whole = _Box(0, 0, math.ceil(height / stride), math.ceil(width / stride))
    noise = Noise(source, purifier.config.latent_channels, whole.bottom, whole.right)
    out, error = np.empty_like(pixels), 0.0
    for top, bottom in _parts(whole.bottom):
        band = _Box(top, 0, bottom, whole.right).grown(DECODER_REACH, whole)
        drawn = noise.rows(band.top, band.bottom)
        for left, right in _parts(whole.right):
            inner = _Box(top, left, bottom, right)
            outer = inner.grown(DECODER_REACH, whole)
            tile = _purify(purifier, pixels, outer, whole, drawn[..., outer.left : outer.right])
            tile = tile[inner.within(outer, stride)]
            place = inner.within(whole, stride)
            given = torch.from_numpy(pixels[place].copy()).float() / 255
            error += float((tile - given).double().square().sum())
            out[place] = tile.mul(255).round().byte().numpy()
    return out, -10 * math.log10(error / pixels.size) if error else math.inf


@dataclass(frozen=True)
class _Box:
    """Latent cells from ``top`` and ``left`` to before ``bottom`` and ``right``."""

    top: int
    left: int
    bottom: int
    right: int

    def grown(self, margin: int, limit: _Box) -> _Box:
        return _Box(
            max(limit.top, self.top - margin),
            max(limit.left, self.left - margin),
            min(limit.bottom, self.bottom + margin),
            min(limit.right, self.right + margin),
        )

    def within(self, outer: _Box, scale: int = 1) -> tuple[slice, slice]:
        """Where it is in an array of ``outer`` with ``scale`` values a cell along each axis."""
        top, left = self.top - outer.top, self.left - outer.left
        bottom, right = self.bottom - outer.top, self.right - outer.left
        return slice(scale * top, scale * bottom), slice(scale * left, scale * right)


def _parts(cells: int) -> list[tuple[int, int]]:
    """Cells along an axis, in parts of about one length."""
    size = math.ceil(cells / math.ceil(cells / TILE))
    return [(first, min(first + size, cells)) for first in range(0, cells, size)]


def _purify(purifier: Purifier, pixels: Bytes, box: _Box, whole: _Box, noise: Tensor) -> Tensor:
    """The pixels of ``box`` (h,w,3) in [0,1], right but for a margin of ``DECODER_REACH``."""
    wide, stride = box.grown(encoder_reach(purifier), whole), purifier.config.stride
    seen = pixels[wide.within(whole, stride)]
    size = pixels[box.within(whole, stride)].shape[:2]  # the picture may end within a cell
    x = torch.from_numpy(seen.copy()).permute(2, 0, 1)[None].float() / 255
    mu = purifier.encode(x)[(..., *box.within(wide))]
    z = mu + purifier.noise.sigma * noise
    return purifier.decode(z, (size[0], size[1])).clamp(0, 1)[0].permute(1, 2, 0)


class Noise:
    """Standard normal noise (1, channels, rows, columns) as ``seeding.normal`` draws it from
    ``source``, some rows of all channels at a time.

    The values of a channel follow those of the one before it. So all are drawn once, to learn the
    state of the generator where each channel starts, and once more as they are asked for.
    """

    def __init__(self, source: torch.Generator, channels: int, rows: int, columns: int) -> None:
        total, area = channels * rows * columns, rows * columns
        assert area >= 2 * GROUP
        self._columns, self._first, self._next = columns, 0, 0
        self._streams: list[_Stream] = []
        position = 0
        for channel in range(channels):
            start = channel * area // GROUP * GROUP
            seeding.normal((start - position,), source)
            position = start
            stream = _Stream(source.get_state(), start, total)
            stream.take(channel * area - start)
            self._streams.append(stream)
        seeding.normal((total - position,), source)
        self._kept = torch.empty(channels, 0, columns)

    def rows(self, first: int, last: int) -> Tensor:
        """The noise (channels, last - first, columns) of some rows. Neither ``first`` nor
        ``last`` may be less than at the call before."""
        kept = self._next - first
        band = torch.empty(len(self._streams), last - first, self._columns)
        band[:, :kept] = self._kept[:, first - self._first :]
        for rows, stream in zip(band[:, kept:], self._streams, strict=True):
            rows[:] = stream.take(rows.numel()).view(rows.shape)
        self._first, self._next, self._kept = first, last, band
        return band


class _Stream:
    """The values of one tensor of ``total``, from ``position`` on, a multiple of ``GROUP``."""

    def __init__(self, state: Tensor, position: int, total: int) -> None:
        self._generator = torch.Generator().set_state(state)
        self._position, self._total = position, total
        self._left = torch.empty(0)

    def take(self, count: int) -> Tensor:
        """The next ``count`` values."""
        missing = count - len(self._left)
        if missing > 0:
            end = self._position + math.ceil(missing / GROUP) * GROUP
            if end > self._total - GROUP:
                end = self._total
            drawn = seeding.normal((end - self._position,), self._generator)
            self._left, self._position = torch.cat([self._left, drawn]), end
        taken, self._left = self._left[:count], self._left[count:].clone()
        return taken
