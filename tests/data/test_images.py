from __future__ import annotations

import pytest
import torch

from alp.data import Images
from alp.errors import ConfigError


def make(counts: tuple[int, ...] = (20, 30, 10), size: int = 4) -> Images:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    generator = torch.Generator().manual_seed(0)
    labels = labels[torch.randperm(len(labels), generator=generator)]
    images = torch.randint(0, 256, (len(labels), 3, size, size), generator=generator)
    names = [f"class{k}" for k in range(len(counts))]
    return Images.of(images.to(torch.uint8), labels, names, "toy", "test")


def test_a_batch_is_float_in_the_unit_range() -> None:
    data = make()
    x, y = data.batch(torch.tensor([3, 1]))
    assert x.dtype == torch.float32
    assert torch.equal((x * 255).round().to(torch.uint8), data.images[[3, 1]])
    assert torch.equal(y, data.labels[[3, 1]])
    white = Images.of(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8), y[:1] * 0, ["a"], "w", "x")
    assert white.batch(torch.tensor([0]))[0].eq(1).all()


def test_batches_give_every_image_once_in_order() -> None:
    data = make()
    parts = list(data.batches(16))
    assert [len(index) for index, _, _ in parts] == [16, 16, 16, 12]
    assert torch.equal(torch.cat([index for index, _, _ in parts]), torch.arange(60))
    assert torch.equal(torch.cat([y for _, _, y in parts]), data.labels)
    assert torch.equal(torch.cat([x for _, x, _ in parts]), data.batch(torch.arange(60))[0])


def test_batches_of_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="batch size is 0"):
        list(make().batches(0))


@pytest.mark.parametrize("n", [1, 3, 7, 30])
def test_take_is_balanced(n: int) -> None:
    counts = make().take(n, seed=1).labels.bincount(minlength=3)
    assert counts.sum() == n
    assert counts.max() - counts.min() <= 1


def test_take_goes_on_when_a_class_has_run_out() -> None:
    assert sorted(make().take(45).labels.bincount().tolist()) == [10, 17, 18]


def test_take_everything_is_a_permutation() -> None:
    data = make()
    taken = data.take(len(data), seed=4)
    assert sorted(taken.images.flatten(1).tolist()) == sorted(data.images.flatten(1).tolist())


def test_take_depends_on_the_seed_only_and_grows_by_appending() -> None:
    data = make()
    assert data.take(20, 1).digest == data.take(20, 1).digest
    assert data.take(20, 1).digest != data.take(20, 2).digest
    assert torch.equal(data.take(31, 1).images[:20], data.take(20, 1).images)


@pytest.mark.parametrize("n", [0, -3, 61])
def test_taking_what_is_not_there_is_refused(n: int) -> None:
    with pytest.raises(ConfigError, match=rf"cannot take {n} .* give 1 to 60"):
        make().take(n)


def test_the_digest_tells_every_change_apart() -> None:
    data = make()
    pixel = data.images.clone()
    pixel[5, 1, 2, 3] ^= 1
    label = data.labels.clone()
    label[5] = (label[5] + 1) % 3
    reshaped = data.images.reshape(60, 3, 2, 8)
    variants = [
        Images.of(pixel, data.labels, data.classes, "toy", "test"),
        Images.of(data.images, label, data.classes, "toy", "test"),
        Images.of(reshaped, data.labels, data.classes, "toy", "test"),
        Images.of(data.images, data.labels, ["a", "b", "c"], "toy", "test"),
        data.subset(torch.arange(59)),
        data.subset(torch.arange(59, -1, -1)),
    ]
    assert len({data.digest, *(other.digest for other in variants)}) == 1 + len(variants)


def test_the_digest_is_of_the_content_not_of_the_memory_layout() -> None:
    data = make()
    strided = data.images.contiguous(memory_format=torch.channels_last)
    assert Images.of(strided, data.labels, data.classes, "other", "train").digest == data.digest


def test_a_subset_keeps_names_and_may_change_its_split() -> None:
    part = make().subset(torch.tensor([2, 0]), "validation")
    assert (part.name, part.split, part.classes) == ("toy", "validation", make().classes)
    assert make().subset(torch.tensor([1])).split == "test"
