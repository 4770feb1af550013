"""Random starts as distributions: one-sample Kolmogorov-Smirnov tests on fixed seeds."""

from __future__ import annotations

import pytest
import torch

from alp.attacks import L2, NFGSM, PGD, THREATS, Linf
from alp.seeding import Shard, generator

EPS = 0.2
COUNT = 4000


def kolmogorov_smirnov(sample: torch.Tensor) -> float:
    """The largest distance of the sample's distribution from U(0, 1), times sqrt(n); above 1.63
    with a chance of 1 in 100."""
    ordered = sample.double().sort().values
    rank = torch.arange(len(ordered) + 1).double() / len(ordered)
    gap = torch.maximum((rank[1:] - ordered).max(), (ordered - rank[:-1]).max())
    return gap.item() * len(ordered) ** 0.5


def test_the_statistic_rejects_another_distribution() -> None:
    skewed = torch.rand(COUNT, generator=generator(0, "skewed")) ** 1.2
    assert kolmogorov_smirnov(skewed) > 1.63


def test_linf_is_uniform_in_every_coordinate() -> None:
    x = torch.full((COUNT, 3, 2, 2), 0.5)
    moved = (Linf(EPS).random_start(x, generator(1, "start")) - x).flatten(1)
    for coordinate in moved.T:
        assert kolmogorov_smirnov((coordinate / EPS + 1) / 2) < 1.63
    assert (torch.corrcoef(moved.T) - torch.eye(12)).abs().max() < 0.06


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 2, 2), (3, 32, 32)])
def test_l2_fills_the_ball_uniformly(shape: tuple[int, int, int]) -> None:
    x = torch.full((COUNT if shape[1] < 32 else 400, *shape), 0.5)
    threat = L2(EPS)
    radius = threat.distance(threat.random_start(x, generator(2, "start")), x).double()
    assert kolmogorov_smirnov((radius / EPS) ** x[0].numel()) < 1.63


def test_l2_directions_are_uniform() -> None:
    """Archimedes: on the sphere in three dimensions each coordinate is uniform."""
    x = torch.full((COUNT, 3, 1, 1), 0.5)
    moved = (L2(EPS).random_start(x, generator(3, "start")) - x).flatten(1)
    for coordinate in (moved / moved.norm(dim=1, keepdim=True)).T:
        assert kolmogorov_smirnov((coordinate + 1) / 2) < 1.63


@pytest.mark.parametrize("name", THREATS)
@pytest.mark.parametrize("face", [0.0, 1.0])
def test_a_start_is_clipped_to_the_box(name: str, face: float) -> None:
    x = torch.full((8, 3, 4, 4), face)
    start = THREATS[name](EPS).random_start(x, generator(4, "start"))
    assert start.min() >= 0
    assert start.max() <= 1
    assert 0.3 < (start == x).float().mean() < 0.7


@pytest.mark.parametrize("name", THREATS)
def test_scale_widens_the_ball(name: str) -> None:
    x = torch.full((8, 3, 4, 4), 0.5)
    threat = THREATS[name](EPS)
    once = threat.random_start(x, generator(5, "start")) - x
    twice = threat.random_start(x, generator(5, "start"), 2.0) - x
    assert torch.allclose(2 * once, twice, atol=1e-6)


@pytest.mark.parametrize("attack", [PGD(steps=2), PGD(steps=1, restarts=2), NFGSM()])
@pytest.mark.parametrize("name", THREATS)
def test_shards_draw_the_rows_of_the_whole_batch(attack: PGD | NFGSM, name: str) -> None:
    x = torch.full((6, 3, 4, 4), 0.5)
    y = torch.arange(6)
    weight = torch.randn(6, 48, generator=generator(6, "weight"))

    def target(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ weight.T

    threat = THREATS[name](EPS)
    whole = attack(target, x, y, threat, generator(6, "start"))
    parts = [
        attack(target, x[rows], y[rows], threat, Shard(generator(6, "start"), rank, 2))
        for rank, rows in enumerate([slice(0, 3), slice(3, 6)])
    ]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
