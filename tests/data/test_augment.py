"""Augmentation is tested as a distribution: what was drawn is read off coded pixels."""

from __future__ import annotations

import pytest
import torch

from alp import seeding
from alp.data import Augment
from alp.errors import ConfigError

SIZE = 32


def coded(n: int) -> torch.Tensor:
    """Every pixel says where it is: channel 0 its row, 1 its column, 2 its image."""
    x = torch.zeros(n, 3, SIZE, SIZE)
    x[:, 0] = torch.arange(SIZE)[:, None] / SIZE
    x[:, 1] = torch.arange(SIZE)[None, :] / SIZE
    x[:, 2] = torch.arange(n)[:, None, None] / n
    return x


def source(n: int = 0) -> torch.Generator:
    return seeding.generator(7, "test augment", n)


def expect_uniform(counts: torch.Tensor) -> None:
    """Chi-squared within 6 standard deviations of its mean: fails one time in a billion."""
    expected = counts.sum() / len(counts)
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < (len(counts) - 1) + 6 * (2 * (len(counts) - 1)) ** 0.5


def test_everything_off_is_the_identity() -> None:
    x = torch.rand(5, 3, 20, 24, generator=source())
    assert torch.equal(Augment(flip=False, shift=0, cutout=0)(x, source()), x)


def test_a_call_is_a_function_of_its_source() -> None:
    x = coded(16)
    assert torch.equal(Augment()(x, source()), Augment()(x, source()))
    assert not torch.equal(Augment()(x, source()), Augment()(x, source(1)))


def test_the_input_is_left_alone() -> None:
    x = coded(8)
    before = x.clone()
    out = Augment()(x, source())
    assert torch.equal(x, before)
    assert out.shape == x.shape
    assert out.dtype == x.dtype


def test_half_of_the_images_are_mirrored_and_nothing_else_happens() -> None:
    n = 4000
    x = coded(n)
    out = Augment(flip=True, shift=0, cutout=0)(x, source())
    mirrored = (out[:, 1, 0, 0] > 0.5).nonzero().flatten()
    whole = (out[:, 1, 0, 0] < 0.5).nonzero().flatten()
    assert torch.equal(out[mirrored], x[mirrored].flip(3))
    assert torch.equal(out[whole], x[whole])
    assert abs(len(mirrored) / n - 0.5) < 6 * 0.5 / n**0.5


@pytest.mark.parametrize("shift", [1, 4])
def test_shifts_are_uniform_in_both_directions_and_independent(shift: int) -> None:
    n = 8000
    out = Augment(flip=False, shift=shift, cutout=0)(coded(n), source())
    middle = SIZE // 2
    down = (out[:, 0, middle, middle] * SIZE).round().long() - middle
    across = (out[:, 1, middle, middle] * SIZE).round().long() - middle
    assert down.abs().max() == across.abs().max() == shift
    steps = 2 * shift + 1
    expect_uniform(((down + shift) * steps + across + shift).bincount(minlength=steps**2))


def test_a_shifted_image_is_moved_and_reflected_at_its_border() -> None:
    x = torch.rand(64, 3, 12, 12, generator=source())
    out = Augment(flip=False, shift=3, cutout=0)(x, source())
    padded = torch.nn.functional.pad(x, (3, 3, 3, 3), mode="reflect")
    windows = padded.unfold(2, 12, 1).unfold(3, 12, 1).permute(2, 3, 0, 1, 4, 5)
    matches = (windows == out).flatten(3).all(3).flatten(0, 1)
    assert (matches.sum(0) == 1).all()


def test_cutout_covers_the_square_around_a_uniform_centre() -> None:
    n, side = 6000, 8
    x = torch.ones(n, 3, SIZE, SIZE)
    out = Augment(flip=False, shift=0, cutout=side)(x, source())
    hole = out[:, 0] != 1
    assert (out.permute(0, 2, 3, 1)[hole] == 0.5).all()
    area = hole.sum((1, 2))
    # A square centred anywhere hangs over the border by up to half its side.
    assert area.max() == side**2
    assert area.min() == (side // 2) ** 2
    covered = sum(min(c + side // 2, SIZE) - max(c - side // 2, 0) for c in range(SIZE)) / SIZE
    assert area.float().mean().item() == pytest.approx(covered**2, rel=0.02)
    assert (hole.any(2).sum(1) * hole.any(1).sum(1) == area).all(), "the hole is a rectangle"
    top = hole.any(2).float().argmax(1)
    expect_uniform(top[top > 0].bincount(minlength=SIZE - side // 2)[1:])


def test_the_images_of_a_batch_are_drawn_independently() -> None:
    n = 6000
    out = Augment(flip=True, shift=4, cutout=0)(coded(n), source())
    flipped = (out[:, 1, 16, 30] < out[:, 1, 16, 1]).float()
    down = (out[:, 0, 16, 16] * SIZE).round() - 16
    for values in (flipped, down):
        pair = torch.corrcoef(torch.stack([values[:-1], values[1:]]))[0, 1]
        assert abs(pair) < 6 / n**0.5
    assert abs(torch.corrcoef(torch.stack([flipped, down]))[0, 1]) < 6 / n**0.5


def test_turning_one_change_off_leaves_the_others_as_they_were() -> None:
    x = torch.ones(200, 3, SIZE, SIZE)
    with_flip = Augment(flip=True, shift=0, cutout=8)(x, source())
    without = Augment(flip=False, shift=0, cutout=8)(x, source())
    assert torch.equal(with_flip, without)


def test_two_shards_are_the_two_halves_of_the_whole() -> None:
    x = coded(24)
    whole = Augment()(x, source())
    halves = [
        Augment()(x[rank * 12 : (rank + 1) * 12], seeding.Shard(source(), rank, 2))
        for rank in range(2)
    ]
    assert torch.equal(torch.cat(halves), whole)


def test_the_result_is_in_the_fast_memory_layout() -> None:
    assert Augment()(coded(4), source()).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("shift", "cutout"), [(-1, 8), (4, -2)])
def test_negative_settings_are_refused(shift: int, cutout: int) -> None:
    with pytest.raises(ConfigError, match=str(min(shift, cutout))):
        Augment(shift=shift, cutout=cutout)


def test_images_smaller_than_the_shift_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"shift 8 .* 8x8; give at most 7"):
        Augment(shift=8)(torch.zeros(2, 3, 8, 8), source())
