from __future__ import annotations

import numpy as np
import pytest
import torch

from alp.data import Images, load_data, shapes
from alp.data.shapes import SILHOUETTES


@pytest.fixture(scope="module")
def drawn() -> Images:
    return shapes.draw_shapes("test", 0)


def test_the_pixels_are_pinned(drawn: Images) -> None:
    """The same on every machine and in every version: results on it can be compared."""
    assert drawn.digest == "40848e6c8a8f3cb2a014be5e2f7139315402807dae8413fefd32e95bc09949a3"


def test_the_splits_are_balanced_and_disjoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "PER_CLASS", {"train": 60, "test": 20})
    parts = [load_data("shapes", split) for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [540, 60, 200]
    for part in parts:
        assert part.classes == tuple(SILHOUETTES)
        assert part.images.shape[1:] == (3, 32, 32)
        assert len(set(part.labels.bincount(minlength=10).tolist())) == 1
    rows = {image.numpy().tobytes() for part in parts for image in part.images}
    assert len(rows) == 800


def test_the_classes_are_mixed(drawn: Images) -> None:
    assert drawn.labels[:100].unique().numel() == 10


def test_each_seed_draws_other_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "PER_CLASS", {"train": 10, "test": 4})
    seeds = [0, 0, 1]
    first, again, other = [load_data("shapes", "test", seed=seed).digest for seed in seeds]
    assert first == again != other
    assert load_data("shapes", "train", seed=1).digest != load_data("shapes", "train").digest


def test_the_second_call_reads_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "PER_CLASS", {"train": 10, "test": 4})
    first = load_data("shapes", "train")
    monkeypatch.setattr(shapes, "draw_shapes", None)
    assert load_data("shapes", "train").digest == first.digest


def test_no_class_is_given_away_by_its_colour(drawn: Images) -> None:
    """Mean and spread of the channels say little: the class is in the shape."""
    x = drawn.images.float() / 255
    features = torch.cat([x.mean((2, 3)), x.std((2, 3)), torch.ones(len(x), 1)], 1)
    train = torch.arange(len(x)) % 2 == 0
    targets = torch.nn.functional.one_hot(drawn.labels, 10).float()
    weights = torch.linalg.lstsq(features[train], targets[train]).solution
    guessed = (features[~train] @ weights).argmax(1)
    accuracy = (guessed == drawn.labels[~train]).float().mean().item()
    assert accuracy < 0.3


def test_little_is_lost_to_the_ends_of_the_range(drawn: Images) -> None:
    """Room for an attack of 8/255 in both directions."""
    outside = (drawn.images < 8) | (drawn.images > 247)
    assert outside.float().mean() < 0.01


def test_angles_turn_the_whole_way() -> None:
    draw = shapes.Draws(4000, shapes.seeding.generator(0, "test angles"))
    cosine, sine = (part.flatten() for part in shapes._turn(draw))
    assert np.allclose(cosine**2 + sine**2, 1, atol=1e-6)
    for quadrant in [(1, 1), (1, -1), (-1, 1), (-1, -1)]:
        share = np.mean((np.sign(cosine) == quadrant[0]) & (np.sign(sine) == quadrant[1]))
        assert abs(share - 0.25) < 0.05


@pytest.mark.parametrize("name", SILHOUETTES)
def test_a_silhouette_is_a_signed_distance(name: str) -> None:
    """Inside is negative, far outside positive, and no two points differ by more than 1.5 times
    their distance: edges are then about a pixel wide."""
    line = np.linspace(-2, 2, 201, dtype=np.float32)
    u, v = np.meshgrid(line, line)
    distance = SILHOUETTES[name](u, v)
    covered = (distance < 0).sum() * (4 / 200) ** 2
    assert 0.3 < covered < 3.0
    assert (distance[np.maximum(np.abs(u), np.abs(v)) > 1.3] > 0).all()
    away = np.minimum(np.abs(u), np.abs(v)) > 0.1  # the star's square root is steep at its axes
    steps = np.abs(np.diff(distance, axis=1)) / 0.02
    assert steps[away[:, 1:] & away[:, :-1]].max() < 1.5


def test_no_two_silhouettes_look_alike() -> None:
    line = np.linspace(-1.2, 1.2, 61, dtype=np.float32)
    u, v = np.meshgrid(line, line)
    masks = {name: shape(u, v) < 0 for name, shape in SILHOUETTES.items()}
    for a, first in masks.items():
        for b, second in masks.items():
            overlap = (first & second).sum() / (first | second).sum()
            assert a == b or overlap < 0.85, (a, b, overlap)
