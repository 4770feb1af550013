from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alp.data.images import Images, carve_validation, stratified
from alp.errors import DataError

PINNED = [
    *[32, 56, 61, 64, 81, 83, 87, 99, 106, 115],
    *[117, 122, 125, 148, 154, 160, 163, 178, 189, 190],
]
LABELS = st.lists(st.integers(0, 4), min_size=0, max_size=80).map(
    lambda extra: torch.tensor([*extra, *range(5), *range(5)])
)


@given(LABELS, st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 3))
def test_a_split_is_disjoint_complete_and_stratified(
    labels: torch.Tensor, share: float, seed: int
) -> None:
    rest, part = stratified(labels, share, seed, "test")
    assert sorted(rest.tolist() + part.tolist()) == list(range(len(labels)))
    for label, count in enumerate(labels.bincount().tolist()):
        drawn = int((labels[part] == label).sum())
        assert drawn == max(1, round(share * count))
        assert drawn < count


def test_a_split_depends_on_seed_and_purpose() -> None:
    labels = torch.arange(10).repeat_interleave(50)
    parts = [
        tuple(stratified(labels, 0.1, seed, purpose)[1].tolist())
        for seed, purpose in [(0, "a"), (0, "a"), (1, "a"), (0, "b")]
    ]
    assert parts[0] == parts[1]
    assert len(set(parts)) == 3


def test_the_classes_are_drawn_independently() -> None:
    labels = torch.arange(2).repeat_interleave(100)
    _, part = stratified(labels, 0.2, 0, "test")
    assert part[part < 100].tolist() != (part[part >= 100] - 100).tolist()


def test_a_class_that_cannot_be_split_is_named() -> None:
    with pytest.raises(DataError, match="class number 1 has too few"):
        stratified(torch.tensor([0, 0, 1]), 0.1, 0, "test")


def test_the_validation_images_are_always_the_same_ones() -> None:
    labels = torch.arange(10).repeat(20)
    images = torch.arange(200, dtype=torch.uint8).reshape(200, 1, 1, 1).expand(200, 3, 1, 1)
    pool = Images.of(images, labels, [str(k) for k in range(10)], "toy", "train")
    train, validation = carve_validation(pool)
    assert (train.split, validation.split) == ("train", "validation")
    # Pinned: a change here would validate old models on images they were trained on.
    assert validation.images[:, 0, 0, 0].tolist() == PINNED
    assert not set(PINNED) & set(train.images[:, 0, 0, 0].tolist())
    assert len(train) == 180
