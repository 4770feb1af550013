"""alp and MAITE: models, data sets and augmentations, both ways (MAITE 0.9.4 or newer).

    judged = maite.tasks.evaluate(model=to_model(alp.load("cifar10-lite")), dataset=..., ...)
    record = alp.evaluate(from_model(their_model), from_dataset(their_dataset), threat)

MAITE's protocols are structural (https://mit-ll-ai-technology.github.io/maite): images are arrays
(3,H,W), targets arrays (K,), one-hot or scores, and nothing has to be inherited, so that this
module needs MAITE for its types alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from alp import seeding
from alp.data import Images
from alp.defences.base import Defence, Model, require_images
from alp.defences.packaged import is_model, require_classifier
from alp.errors import ConfigError

if TYPE_CHECKING:
    from maite.protocols import (
        AugmentationMetadata,
        DatasetMetadata,
        DatumMetadata,
        ModelMetadata,
    )

    Batch = tuple[Sequence[ArrayLike], Sequence[ArrayLike], Sequence[DatumMetadata]]
    """Images, targets and metadata."""

Array = NDArray[Any]


@final
class MaiteModel:
    """A defence as ``maite.protocols.image_classification.Model``: images (3,H,W) in [0,1] to
    probabilities (K,)."""

    def __init__(self, defence: Defence, name: str, source: seeding.Source | None) -> None:
        self._defence, self._source = defence, source
        self.metadata: ModelMetadata = {"id": name}
        if defence.classes is not None:
            self.metadata = {"id": name, "index2label": dict(enumerate(defence.classes))}

    def __call__(self, batch: Sequence[ArrayLike], /) -> Sequence[Array]:
        x = _stacked(batch).to(_device(self._defence))
        with torch.no_grad():
            logits = self._defence(x, self._source)
        return list(logits.softmax(1).cpu().numpy())


@final
class MaiteDataset:
    """Images as ``maite.protocols.image_classification.Dataset``: float32 (3,H,W) in [0,1], the
    one-hot label float32 (K,) and the number of the image."""

    def __init__(self, images: Images) -> None:
        self._images = images
        name = f"{images.name} {images.split} {images.digest[:12]}"
        self.metadata: DatasetMetadata = {
            "id": name,
            "index2label": dict(enumerate(images.classes)),
        }

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int, /) -> tuple[Array, Array, DatumMetadata]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        x, y = self._images.batch(torch.tensor([index % len(self)]))
        target = np.eye(len(self._images.classes), dtype=np.float32)[int(y)]
        return x[0].numpy(), target, {"id": index % len(self)}


@final
class MaiteAugmentation:
    """A purifier, or an attack, as ``maite.protocols.image_classification.Augmentation``: it
    changes the images of a batch and leaves targets and metadata alone."""

    def __init__(self, change: Callable[[Tensor, Tensor], Tensor], name: str) -> None:
        self._change = change
        self.metadata: AugmentationMetadata = {"id": name}

    def __call__(self, batch: Batch, /) -> tuple[Sequence[Array], Sequence[Any], Sequence[Any]]:
        images, targets, told = batch
        labels = torch.tensor([int(np.argmax(np.asarray(each))) for each in targets])
        changed = self._change(_stacked(images), labels)
        return list(changed.cpu().numpy()), targets, told


def to_model(
    defence: Defence, name: str = "alp", source: seeding.Source | None = None
) -> MaiteModel:
    """A defence as a MAITE model.

    Args:
        name: its identifier there.
        source: generator of its noise; without it the operating system seeds the noise.

    Raises:
        ConfigError: it is no defence.
    """
    return MaiteModel(require_classifier(defence, "the defence"), name, source)


def to_dataset(images: Images) -> MaiteDataset:
    """Labelled images as a MAITE data set."""
    return MaiteDataset(images)


def to_augmentation(
    change: Model | Callable[[Tensor, Tensor], Tensor],
    name: str = "alp",
    source: seeding.Source | None = None,
) -> MaiteAugmentation:
    """What changes images as a MAITE augmentation.

    Args:
        change: a purifier or a defence, whose purified draw is taken; or a function of images
            (B,3,H,W) in [0,1] and labels (B,) int64, such as an attack on a model.
        name: its identifier there.
        source: generator of a purifier's noise; without it the operating system seeds the noise.
    """
    if not is_model(change):
        return MaiteAugmentation(change, name)
    model = change

    def purified(x: Tensor, labels: Tensor) -> Tensor:
        x = x.to(_device(model))
        noise = seeding.entropy(x.device) if source is None else source
        with torch.no_grad():
            return model.purify(x, noise)

    return MaiteAugmentation(purified, name)


def from_model(model: Any) -> Callable[[Tensor], Tensor]:
    """A MAITE model as a callable from images (B,3,H,W) in [0,1] to its scores (B,K), which
    ``alp.evaluate`` and ``alp.as_defence`` take. MAITE passes on arrays, so that nobody has its
    gradient: attackers see its answers alone. Where these are probabilities, say
    ``outputs="probabilities"``."""

    def call(x: Tensor) -> Tensor:
        answers = model(list(x.detach().cpu().numpy()))
        return torch.from_numpy(np.stack([np.asarray(each) for each in answers])).to(x)

    return call


def from_dataset(dataset: Any, classes: Sequence[str] | None = None, split: str = "test") -> Images:
    """A MAITE data set as labelled images, copied into memory.

    Args:
        dataset: its images are uint8, or floats in [0,1] that are whole 255ths, all of one size;
            its targets one-hot or scores, of which the largest is the label.
        classes: names in the order of the targets; by default the data set's ``index2label``.
        split: ``train``, ``validation`` or ``test``.

    Raises:
        ConfigError: nobody says what the classes are called, or it is empty.
        DataError: images or targets are of another form.
    """
    if not len(dataset):
        raise ConfigError("the data set is empty; give one with images")
    data = [dataset[row] for row in range(len(dataset))]
    targets = [np.asarray(target) for _, target, _ in data]
    told = dict(dataset.metadata).get("index2label")
    if classes is None:
        if told is None:
            raise ConfigError("the data set does not name its classes; give their names in classes")
        classes = [told[key] for key in sorted(told)]
    sizes = {np.shape(image) for image, _, _ in data}
    if len(sizes) > 1:
        raise ConfigError(
            f"the images of the data set have {len(sizes)} sizes, such as "
            f"{' and '.join(map(str, sorted(sizes)[:2]))}; resize all to one first"
        )
    pixels = np.stack([np.asarray(image) for image, _, _ in data])
    labels = np.array([int(np.argmax(each)) for each in targets])
    return Images.from_arrays(pixels, labels, classes, str(dataset.metadata["id"]), split)


def from_augmentation(augmentation: Any) -> Callable[[Tensor], Tensor]:
    """A MAITE augmentation as a function of images (B,3,H,W) in [0,1], which stands in front of a
    classifier: ``lambda x: classifier(change(x))``. It sees no targets."""

    def call(x: Tensor) -> Tensor:
        images = list(x.detach().cpu().numpy())
        told = [{"id": row} for row in range(len(images))]
        changed, _, _ = augmentation((images, [np.zeros(1)] * len(images), told))
        return torch.from_numpy(np.stack([np.asarray(each) for each in changed])).to(x)

    return call


def _stacked(batch: Sequence[ArrayLike]) -> Tensor:
    """Images of one size as one batch (B,3,H,W).

    Raises:
        ConfigError: they are of several sizes, or no floats in [0,1].
    """
    arrays = [np.asarray(each) for each in batch]
    if len({each.shape for each in arrays}) != 1:
        raise ConfigError(
            f"the images of a batch have the shapes {sorted({each.shape for each in arrays})}; "
            "give one image or more of one size"
        )
    stacked = np.stack(arrays)
    x = torch.from_numpy(stacked.astype(np.float32) if stacked.dtype.kind == "f" else stacked)
    require_images(x)
    return x


def _device(module: torch.nn.Module) -> torch.device:
    return next((each.device for each in module.parameters()), torch.device("cpu"))
