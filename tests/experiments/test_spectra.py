"""Attacks that are limited to a band, and power by frequency."""

from __future__ import annotations

import math

import pytest
import torch

from alp.attacks import Linf
from alp.experiments.spectra import BANDS, BandPGD, power, radius
from alp.records.record import BINS
from alp.seeding import generator

EPS = 8 / 255


def wave(cycles: int, size: int = 32) -> torch.Tensor:
    """One picture whose only frequency is ``cycles`` a picture along an axis."""
    row = torch.cos(2 * math.pi * cycles * torch.arange(size) / size)
    return row.expand(1, 3, size, size)


@pytest.mark.parametrize("cycles", [1, 7, 12])
def test_the_power_of_a_wave_is_in_its_bin(cycles: int) -> None:
    found = power(wave(cycles))
    assert found.shape == (1, BINS)
    assert int(found.argmax()) == 2 * BINS * cycles // 32
    assert float(found.sum()) == pytest.approx(float(wave(cycles).square().sum()), rel=1e-4)
    assert float(found.max() / found.sum()) > 0.99


@pytest.mark.parametrize("band", list(BANDS))
def test_an_attack_keeps_to_its_band_and_to_the_radius(band: str) -> None:
    torch.manual_seed(0)
    low, high = BANDS[band]
    x, y = torch.rand(4, 3, 32, 32) / 2 + 0.25, torch.arange(4)
    weights = torch.randn(3 * 32 * 32, 4)
    attack = BandPGD(low, high, steps=3)
    point = attack(lambda z: z.flatten(1) @ weights, x, y, Linf(EPS), generator(0, "attack"))
    change = point - x
    assert float(change.abs().amax()) <= EPS * (1 + 1e-4)
    spectrum = torch.fft.fft2(change).abs().square()
    inside = (radius(32, 32) >= low) & (radius(32, 32) < high)
    assert float((spectrum * inside).sum() / spectrum.sum()) > 0.999

    def loss(z: torch.Tensor) -> float:
        return float(torch.nn.functional.cross_entropy(z.flatten(1) @ weights, y))

    assert loss(point) > loss(x)
    assert attack.calls == (3, 0)
