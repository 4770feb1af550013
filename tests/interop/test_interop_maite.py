"""alp's models, data and purifiers as MAITE's, and back, by MAITE's own protocols and tasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import alp
from alp.errors import ConfigError, DataError
from alp.seeding import generator

maite = pytest.importorskip("maite")

from alp.interop.maite import (  # noqa: E402
    from_augmentation,
    from_dataset,
    from_model,
    to_augmentation,
    to_dataset,
    to_model,
)


def test_they_are_what_the_protocols_ask_for(defended, images) -> None:
    from maite.protocols import Augmentation, Dataset, Model

    defended.classes = images.classes
    assert isinstance(to_model(defended), Model)
    assert isinstance(to_dataset(images), Dataset)
    assert isinstance(to_augmentation(defended.purifier), Augmentation)
    named = {"id": "toy", "index2label": dict(enumerate("abcd"))}
    assert to_model(defended, "toy").metadata == named


def test_its_tasks_run_a_model_on_data_behind_an_augmentation(defended, images) -> None:
    from maite.tasks import predict

    found, batches = predict(
        model=to_model(defended, source=generator(0, "maite")),
        dataset=to_dataset(images),
        augmentation=to_augmentation(lambda x, labels: x.flip(3).flip(3), "twice"),
        batch_size=5,
        return_augmented_data=True,
    )
    scores = np.concatenate([np.stack(each) for each in found])
    assert scores.sum(1) == pytest.approx(np.ones(len(images)), abs=1e-5)
    assert np.mean(scores.argmax(1) == images.labels.numpy()) > 0.9
    numbers = [told["id"] for _, _, metadata in batches for told in metadata]
    assert numbers == list(range(len(images)))


def test_data_comes_back_to_the_bit(images) -> None:
    back = from_dataset(to_dataset(images))
    assert back.digest == images.digest
    assert back.classes == images.classes
    assert from_dataset(to_dataset(images), classes=list("wxyz")).classes == tuple("wxyz")
    with pytest.raises(IndexError):
        to_dataset(images)[len(images)]


def test_a_model_comes_back_as_a_target(defended, images, batch) -> None:
    call = from_model(to_model(defended, source=generator(0, "maite")))
    x, y = batch
    assert (call(x).argmax(1) == y).float().mean() > 0.9
    record = alp.evaluate(
        from_model(to_model(defended.classifier)),
        images.subset(torch.arange(4)),
        alp.Linf(0.1),
        alp.PaperProtocol(alp.PGD(1), ("single",)),
        outputs="probabilities",
    )
    assert len(record) == 4


def test_an_attack_is_an_augmentation_and_sees_the_labels(images) -> None:
    seen = []

    def attack(x, labels):
        seen.extend(labels.tolist())
        return 1 - x

    change = to_augmentation(attack)
    data = to_dataset(images)
    pixels, targets, told = zip(*(data[row] for row in range(3)), strict=True)
    changed, kept, _ = change((pixels, targets, told))
    assert seen == images.labels[:3].tolist()
    assert np.allclose(changed[0], 1 - pixels[0])
    assert kept is targets


def test_a_purifier_there_and_back(defended, batch) -> None:
    change = from_augmentation(to_augmentation(defended.purifier, source=generator(0, "maite")))
    own = defended.purifier(batch[0], generator(0, "maite"))
    assert torch.equal(change(batch[0]), own)


class Theirs:
    """A data set of uint8 pictures, of two sizes, without names of classes."""

    metadata = {"id": "theirs"}  # noqa: RUF012
    sizes = (4, 4)

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, row: int):
        size = self.sizes[row]
        return np.full((3, size, size), row, np.uint8), np.eye(2)[row], {"id": row}


def test_data_of_others_is_read_and_wrong_data_refused() -> None:
    found = from_dataset(Theirs(), ["cat", "dog"], split="train")
    assert found.labels.tolist() == [0, 1]
    assert found.images[1].unique().tolist() == [1]
    with pytest.raises(ConfigError, match="give their names"):
        from_dataset(Theirs())
    other = Theirs()
    other.sizes = (4, 5)
    with pytest.raises(ConfigError, match="2 sizes"):
        from_dataset(other, ["cat", "dog"])
    other.sizes = ()
    with pytest.raises(ConfigError, match="empty"):
        from_dataset(other, ["cat", "dog"])
    with pytest.raises(ConfigError, match="as_defence"):
        to_model(lambda x: x)
    with pytest.raises(ConfigError, match="one size"):
        to_augmentation(lambda x, y: x)(([np.zeros((3, 4, 4)), np.zeros((3, 5, 5))], [[1]] * 2, []))
    with pytest.raises(ConfigError, match="divide bytes"):
        to_augmentation(lambda x, y: x)(([np.zeros((3, 4, 4), np.uint8)], [[1]], []))
    grey = Theirs()
    grey.__class__ = type("Grey", (Theirs,), {"__getitem__": lambda self, row: (
        np.zeros((1, 4, 4), np.uint8), np.eye(2)[row], {"id": row})})  # fmt: skip
    with pytest.raises(DataError):
        from_dataset(grey, ["cat", "dog"])
