"""Labelled images in memory: what every data set is once it is decoded.

The fixed, stratified split of a data set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch

from alp import seeding
from alp.config import FrameConfig, class_names
from alp.data.arrays import labels_of, pixels_of, require_labels, require_pixels
from alp.data.decode import Pixels
from alp.data.origin import DataOrigin
from alp.data.streamed import Pictures, Streamed, is_large
from alp.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Images:
    """One split of a data set, decoded.

    Made by :meth:`Images.of`, which computes the digest.
    """

    images: torch.Tensor = field(repr=False)
    """uint8, (N,3,H,W); of data that does not fit in memory a :class:`Streamed`, which decodes the
    rows that are asked for."""
    labels: torch.Tensor = field(repr=False)
    """int64, (N,), positions in ``classes``."""
    classes: tuple[str, ...] = field(repr=False)
    """The class names."""
    name: str
    """Name of the data set, or the folder it came from."""
    split: str
    """``train``, ``validation`` or ``test``."""
    digest: str
    """sha256 over shape, class names, pixels and labels: two splits with the same digest hold the
    same images in the same order."""
    source: str = ""
    """Where the pictures came from, in words; the digest does not depend on it."""
    origin: DataOrigin | None = field(default=None, repr=False)
    """How another process loads them; None of images that were made in memory."""

    @classmethod
    def of(
        cls,
        images: torch.Tensor | Streamed,
        labels: torch.Tensor,
        classes: Sequence[str],
        name: str,
        split: str,
        source: str = "",
    ) -> Images:
        """Images with their digest. Nothing is converted; :meth:`from_arrays` takes more.

        Args:
            images: uint8 (N,3,H,W), on the CPU, or pictures that are decoded when they are needed.
            labels: int64 (N,), positions in ``classes``.
            classes: distinct names, in the order of the labels.
            name: of the data set.
            split: ``train``, ``validation`` or ``test``.
            source: where the pictures came from, in words.

        Raises:
            DataError: images or labels are of another type, shape, length or range; the message
                says what to give.
            ConfigError: the class names are no distinct texts.
        """
        names = class_names(classes)
        if isinstance(images, Streamed):
            require_labels(labels, len(images), names)
            digest = images.digest(labels, names)
            return cls(cast(torch.Tensor, images), labels, names, name, split, digest, source)
        require_pixels(images)
        require_labels(labels, len(images), names)
        images, labels = images.contiguous(), labels.contiguous()
        digest = content_digest(images, labels, names)
        return cls(images, labels, names, name, split, digest, source)

    @classmethod
    def from_arrays(
        cls,
        images: Any,
        labels: Any,
        classes: Sequence[str],
        name: str = "arrays",
        split: str = "test",
    ) -> Images:
        """Images from numpy arrays, tensors or lists, copied.

        Args:
            images: (N,3,H,W): uint8, or floats in [0,1] that are whole 255ths, as those of decoded
                pictures are. Others are refused, since rounding would make other images of them.
            labels: (N,): integers of any type, positions in ``classes``.
            classes: distinct names, in the order of the labels.
            name: of the data set.
            split: ``train``, ``validation`` or ``test``.

        Raises:
            DataError: as :meth:`of`; and where a conversion would change something.
            ConfigError: the class names are no distinct texts.
        """
        return cls.of(pixels_of(images), labels_of(labels), classes, name, split)

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: torch.Tensor, split: str | None = None) -> Images:
        """The images at ``index`` (int64, (n,)), in that order, with their own digest."""
        held: torch.Tensor | Streamed = self.images
        images = held.subset(index) if isinstance(held, Streamed) else held[index]
        split = split or self.split
        return Images.of(images, self.labels[index], self.classes, self.name, split, self.source)

    def framed(self, frame: FrameConfig) -> Images:
        """The images at another size, resized and cropped as ``frame`` says."""
        if isinstance(self.images, Streamed):
            images: torch.Tensor | Streamed = replace(self.images, frame=frame)
        else:
            pictures = _Held(self.images)
            images = Streamed(pictures, np.arange(len(self)), frame)
            images = images if is_large(len(self), frame) else images[:].contiguous()
        return Images.of(images, self.labels, self.classes, self.name, self.split, self.source)

    def take(self, n: int, seed: int = 0) -> Images:
        """A fixed, class-balanced subset of ``n`` images: class counts differ by at most one as
        long as no class runs out. The subset for a smaller ``n`` is the beginning of the one for a
        larger ``n``.

        Raises:
            ConfigError: ``n`` is below 1 or above the number of images.
        """
        if not 1 <= n <= len(self):
            raise ConfigError(
                f"cannot take {n} images of the {self.split} split of {self.name}; "
                f"give 1 to {len(self)}"
            )
        shuffled = torch.randperm(len(self), generator=seeding.for_data(seed, "take"))
        ordered = self.labels[shuffled]
        turn = torch.zeros_like(ordered)
        for label in range(len(self.classes)):
            of_class = ordered == label
            turn[of_class] = torch.arange(int(of_class.sum()))
        # One image of each class a turn; stable, so that within a turn the order stays random.
        chosen = self.subset(shuffled[torch.argsort(turn, stable=True)[:n]])
        return replace(chosen, origin=self.origin and self.origin.take(n, seed))

    def reference(self) -> Images | DataOrigin:
        """What to send to another process: where the images come from, or themselves where that is
        not known."""
        return self if self.origin is None else replace(self.origin, digest=self.digest)

    def batch(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The images at ``index`` (int64, (B,)): x float32 (B,3,H,W) in [0,1], y int64 (B,)."""
        return self.images[index].float().div_(255), self.labels[index]

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """All images in order as (index, x, y) with ``size`` images each, the last one shorter.

        Raises:
            ConfigError: ``size`` is below 1.
        """
        if size < 1:
            raise ConfigError(f"batch size is {size}; give 1 or more")
        for first in range(0, len(self), size):
            index = torch.arange(first, min(first + size, len(self)))
            yield index, *self.batch(index)


@dataclass(frozen=True, eq=False)
class _Held(Pictures):
    """Images in memory as pictures of another size."""

    images: torch.Tensor

    def __len__(self) -> int:
        return len(self.images)

    def name(self, row: int) -> str:
        return f"image {row}"

    def pixels(self, row: int) -> Pixels:
        pixels: Pixels = self.images[row].permute(1, 2, 0).numpy()
        return np.ascontiguousarray(pixels)

    def content(self, row: int) -> bytes:
        return self.pixels(row).tobytes()


def content_digest(images: torch.Tensor, labels: torch.Tensor, classes: Sequence[str]) -> str:
    """sha256 (hex) over shape, class names, pixels and little-endian int64 labels."""
    digest = hashlib.sha256(json.dumps([list(images.shape), list(classes)]).encode())
    digest.update(np.ascontiguousarray(images.numpy()).data)
    digest.update(labels.numpy().astype("<i8").data)
    return digest.hexdigest()


VALIDATION_SEED = 20_250
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2


def stratified(
    labels: torch.Tensor, share: float, seed: int, purpose: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Split positions into (rest, part): ``part`` has the share of each class, and at least one.

    Both are sorted, disjoint, and together every position. A class's part depends on the seed, the
    purpose and the positions of that class only.

    Raises:
        DataError: a class has a single image, which cannot be in both.
    """
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        members = torch.nonzero(labels == label).flatten()
        if len(members) < 2:
            raise DataError(
                f"class number {label} has too few images to be split; add some, or remove it"
            )
        count = max(1, round(share * len(members)))
        order = torch.randperm(len(members), generator=seeding.for_data(seed, purpose, label))
        chosen[members[order[:count]]] = True
    return torch.nonzero(~chosen).flatten(), torch.nonzero(chosen).flatten()


def carve_validation(pool: Images) -> tuple[Images, Images]:
    """(train, validation) of a training pool; everything that is chosen is chosen on the latter.

    The split is a function of ``VALIDATION_SEED`` and of the labels: no setting changes it, so that
    no model is ever validated on what another run of it was trained on.
    """
    train, validation = stratified(pool.labels, VALIDATION_SHARE, VALIDATION_SEED, "validation")
    return pool.subset(train, "train"), pool.subset(validation, "validation")


def require_data(data: object) -> None:
    """Refuse what is not :class:`Images`, or has none.

    Raises:
        ConfigError: so it is.
    """
    if not isinstance(data, Images):
        raise ConfigError(
            f"the data is a {type(data).__name__}; give Images, such as "
            "alp.load_data('cifar10', 'test').take(256) or "
            "alp.Images.from_arrays(pixels, labels, classes)"
        )
    if not len(data):
        raise ConfigError(f"the {data.split} split of {data.name} has no images")
