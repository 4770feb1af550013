"""Pictures purified in tiles are those purified whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alp.data.quality import psnr
from alp.seeding import generator, normal
from alp.serve import tiles
from alp.serve.tiles import DECODER_REACH, Noise, encoder_reach, purify_tiled


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def whole(purifier, pixels: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        purified = purifier(x, generator(seed, "purify"))
    levels = purified[0].permute(1, 2, 0).mul(255)
    return levels.numpy(), float(psnr(x, purified))


def assert_alike(purifier, pixels: np.ndarray) -> None:
    with torch.inference_mode():
        tiled, decibels = purify_tiled(purifier, pixels, generator(3, "purify"))
    levels, expected = whole(purifier, pixels, 3)
    assert np.abs(tiled - levels).max() <= 0.5 + 1e-3  # its own rounding, and that of floats
    assert decibels == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("blocks", [1, 2, 4])
@pytest.mark.parametrize("noise", ["learned", "per-channel"])
def test_tiles_are_the_whole_picture(new_purifier, monkeypatch, blocks: int, noise: str) -> None:
    monkeypatch.setattr(tiles, "TILE", 9)
    purifier = new_purifier(noise, blocks=blocks)
    for height, width in ((150, 130), (37, 201), (36, 40), (73, 38)):
        assert_alike(purifier, picture(height, width))


def test_all_offsets_of_a_tiles_border(new_purifier, monkeypatch) -> None:
    monkeypatch.setattr(tiles, "TILE", 6)
    purifier = new_purifier()
    for extra in range(9):
        assert_alike(purifier, picture(96 + extra, 104 - extra))


# The fixture is a function, which does not change.
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(height=st.integers(21, 140), width=st.integers(21, 140), tile=st.integers(3, 20))
def test_any_size_in_tiles_of_any_size(new_purifier, height: int, width: int, tile: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE", tile)
        assert_alike(new_purifier(), picture(height, width))


@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_the_reaches_are_those_of_the_networks(new_purifier, blocks: int) -> None:
    """By the gradient of the cell, or pixel, in the middle; none is a cell too wide."""
    purifier = new_purifier(blocks=blocks)
    middle = 24
    x = torch.rand(1, 3, 4 * 49, 4 * 49, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    purifier.encode(x)[0, :, middle, middle].sum().backward()
    seen = (x.grad[0].abs().sum(0) > 0).nonzero() // 4 - middle
    assert max(-seen.min(), seen.max()) == encoder_reach(purifier)
    z = torch.zeros(1, 8, 49, 49).requires_grad_()
    purifier.decode(z + 0.1, (196, 196))[..., 96:100, 96:100].sum().backward()
    seen = (z.grad[0].abs().sum(0) > 0).nonzero() - middle
    assert max(-seen.min(), seen.max()) == DECODER_REACH


@settings(max_examples=100, deadline=None)
@given(
    channels=st.integers(1, 9),
    rows=st.integers(6, 30),
    columns=st.integers(6, 30),
    cuts=st.lists(st.integers(0, 30), max_size=4),
    margin=st.integers(0, 3),
)
def test_noise_in_parts_is_the_noise_of_the_whole(channels, rows, columns, cuts, margin) -> None:
    source, other = generator(1, "noise"), generator(1, "noise")
    expected = normal((1, channels, rows, columns), source)[0]
    noise = Noise(other, channels, rows, columns)
    edges = sorted({0, rows, *(min(cut, rows) for cut in cuts)})
    for top, bottom in pairwise(edges):
        first, last = max(0, top - margin), min(rows, bottom + margin)
        assert torch.equal(noise.rows(first, last), expected[:, first:last])
    assert torch.equal(normal((4,), source), normal((4,), other))
