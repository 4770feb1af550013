"""Noise as integers: its distribution, and what floating point cannot do to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import norm

from alp.defences.lattice import LEVELS, STEPS, LatticeNoise, to_floats, to_lattice
from alp.errors import ConfigError


@pytest.mark.parametrize("sigma", [1 / STEPS, 0.01, 0.25, 1.0])
def test_the_distribution_is_a_rounded_gaussian(sigma: float) -> None:
    """Kolmogorov's distance of a million draws, and both moments."""
    count = 1_000_000
    drawn = LatticeNoise(sigma).draw((count,), 3).numpy()
    values = np.arange(drawn.min(), drawn.max() + 1)
    found = np.searchsorted(np.sort(drawn), values, side="right") / count
    wanted = norm.cdf((values + 0.5) / (sigma * STEPS))
    assert np.abs(found - wanted).max() < 2 / np.sqrt(count)
    assert abs(drawn.mean()) < 5 * sigma * STEPS / np.sqrt(count)


def test_the_tails_are_there() -> None:
    """The table has every value whose probability is above 2^-63, each cell of it exact."""
    noise = LatticeNoise(0.25)
    cuts = noise._cuts.flip(0).double() / 2.0**63
    k = np.arange(len(cuts))
    wanted = 2 * norm.sf((k + 0.5) / (0.25 * STEPS))
    assert np.abs(cuts.numpy() - wanted).max() < 1e-15
    assert noise.variation < 1e-11
    assert norm.sf((len(cuts) + 0.5) / (0.25 * STEPS)) < 2.0**-62


def test_a_seed_gives_its_noise_and_another_seed_other_noise() -> None:
    noise = LatticeNoise(0.25)
    assert torch.equal(noise.draw((100,), 1), noise.draw((100,), 1))
    assert not torch.equal(noise.draw((100,), 1), noise.draw((100,), 2))


def test_equal_sums_give_bit_identical_inputs() -> None:
    """Two images and two noises with the same integer sum cannot be told apart: what adding floats
    does not guarantee."""
    generator = torch.Generator().manual_seed(0)
    first, second = (
        torch.randint(0, 256, (8, 3, 4, 4), dtype=torch.uint8, generator=generator)
        for _ in range(2)
    )
    noise = LatticeNoise(0.25).draw((8, 3, 4, 4), 4)
    one, two = to_lattice(first)[0], to_lattice(second)[0]
    shifted = noise + one - two
    assert torch.equal(to_floats(one + noise), to_floats(two + shifted))
    x, n = first.float() / 255, noise.float() / STEPS
    y, m = second.float() / 255, shifted.float() / STEPS
    assert not torch.equal(x + n, y + m)


def test_images_of_8_bits_lie_on_the_lattice() -> None:
    levels = torch.arange(256, dtype=torch.uint8).expand(3, 2, 256)[None]
    for x in (levels, levels.float() / 255, levels.double() / 255):
        points, moved = to_lattice(x)
        assert torch.equal(points, levels.int() * LEVELS)
        assert moved.tolist() == [0.0]


def test_other_images_are_moved_and_told_how_far() -> None:
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    points, moved = to_lattice(x)
    distance = (points.double() / STEPS - x.double()).flatten(1).norm(dim=1)
    torch.testing.assert_close(moved, distance)
    assert bool((moved <= np.sqrt(x[0].numel()) / (2 * STEPS)).all())


@pytest.mark.parametrize("sigma", [0.0, -0.25, float("nan"), float("inf"), True, "a", 1e-6])
def test_a_sigma_that_is_none(sigma: float) -> None:
    with pytest.raises(ConfigError, match="sigma is"):
        LatticeNoise(sigma)


@pytest.mark.parametrize("x", [torch.full((1, 3, 2, 2), 1.5), torch.full((1, 3, 2, 2), torch.nan)])
def test_images_outside_the_box_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(ConfigError, match=r"give floats in \[0,1\]"):
        to_lattice(x)


def test_one_image_without_a_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(B,3,H,W\)"):
        to_lattice(torch.rand(3, 8, 8))


@pytest.mark.parametrize("sigma", [1 / STEPS, 0.25, 4.0])
def test_the_table_of_the_highest_bits_changes_no_draw(sigma: float) -> None:
    """Beside a binary search among all T_k, also at the ends of each cell of the table."""
    noise = LatticeNoise(sigma)
    generator = np.random.Generator(np.random.PCG64(7))
    words = generator.integers(-(2**63), 2**63 - 1, 100_000, np.int64, endpoint=True)
    size = torch.from_numpy(words) & (2**63 - 1)
    wanted = (noise._cuts[:, None] > size[:1000]).sum(0)
    drawn = noise.draw((100_000,), 7)
    assert torch.equal(drawn.abs()[:1000].long(), wanted)
    assert torch.equal(drawn.abs().long(), noise._above(size))
    assert torch.equal(drawn < 0, (torch.from_numpy(words) < 0) & (drawn != 0))
    edges = torch.cat([noise._cuts, noise._cuts - 1, noise._cuts + 1]).clamp(0, 2**63 - 1)
    found = noise._table[edges >> 47].long()
    assert torch.equal(found[found >= 0], noise._above(edges)[found >= 0])
